/* The body of a request. Runs in the thread that works on the request; no lock. */
#include "request/body.h"

#include "base/watch.h"

#include <string.h>

#define SLOWEST 1000 /* bytes a second; see body_read */

/* A web server may keep a body back as a whole when the request becomes another one: for
 * the page of an error (error_page), a subrequest. Its length is sent all the same. */
static bool may_be_absent(const struct body *b)
{
    const char *method = b->params->values[PARAM_REQUEST_METHOD];
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

void body_begin(struct body *b, struct peer *peer, const struct config *config,
                const struct params *params)
{
    *b = (struct body){
        .peer = peer, .config = config, .params = params, .max = config->max_post_size};
}

int64_t body_left(const struct body *b)
{
    int64_t length = b->params->content_length;
    if (length < 0)
        return -1;
    return length > b->received ? length - b->received : 0;
}

static bool is_whole(const struct body *b)
{
    return body_left(b) <= 0 || (b->received == 0 && may_be_absent(b));
}

/* Milliseconds that the next wait may take; -1: for ever. A client that sends a byte now
 * and then must not hold a worker for days. One that is slow but steady is served. */
static int64_t patience(const struct body *b)
{
    int64_t read = b->config->read_timeout, whole = b->config->request_timeout;
    if (whole <= 0)
        return read > 0 ? read : -1;
    int64_t left = whole + b->received * 1000 / SLOWEST - b->awaited;
    if (left < 0)
        left = 0;
    return read > 0 && read < left ? read : left;
}

/* Whether there is anything to read, as far as is known before. */
static bool may_come(struct body *b)
{
    if (b->state == BODY_COMING && b->max > 0 && b->params->content_length > b->max)
        b->state = BODY_TOO_LARGE; /* so nothing is read of it */
    return b->state == BODY_COMING;
}

/* Returns how much of `got` counts. */
static size_t settle(struct body *b, enum io_status status, size_t got)
{
    if (status != IO_OK) {
        b->state = status == IO_END && is_whole(b) ? BODY_OVER : BODY_FAILED;
        return 0;
    }
    b->received += (int64_t)got;
    if (b->max > 0 && b->received > b->max) {
        b->state = BODY_TOO_LARGE;
        return 0;
    }
    return got;
}

size_t body_read(struct body *b, void *data, size_t size)
{
    if (size == 0 || !may_come(b))
        return 0;
    size_t got = 0;
    uint32_t paused = watch_paused();
    enum io_status status = peer_read(b->peer, data, size, &got, patience(b));
    b->awaited += watch_paused() - paused;
    return settle(b, status, got);
}

size_t body_try_read(struct body *b, void *data, size_t size, bool *later)
{
    *later = false;
    if (size == 0 || !may_come(b))
        return 0;
    size_t got = 0;
    enum io_status status = peer_try_read(b->peer, data, size, &got);
    *later = status == IO_TIMEOUT;
    return *later ? 0 : settle(b, status, got);
}

int64_t body_patience(const struct body *b)
{
    return patience(b);
}

void body_note_wait(struct body *b, int64_t awaited, bool late)
{
    b->awaited += awaited;
    if (!late || b->state != BODY_COMING)
        return;
    peer_note_late(b->peer);
    b->state = BODY_FAILED;
}
