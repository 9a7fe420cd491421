/* The response to a request. Runs in the thread that works on the request; no lock. */
#include "request/response.h"

#include "http/page.h"

#include <stdio.h>
#include <string.h>

/* Memory that is kept for the next response. */
#ifndef BODY_KEEP
#define BODY_KEEP (256 * 1024)
#endif
#ifndef HEAD_KEEP
#define HEAD_KEEP (16 * 1024)
#endif

/* A response that streams is sent on when this much has piled up without a Flush. */
#ifndef STREAM_BYTES
#define STREAM_BYTES (64 * 1024)
#endif

bool response_begin(struct response *r, struct peer *peer, struct config *config,
                    bool of_head)
{
    r->peer = peer;
    r->config = config;
    r->of_head = of_head;
    r->buffering = config->buffering;
    r->head_sent = r->body_sent = false;
    r->sent = 0;
    buffer_clear(&r->head_text, HEAD_KEEP);
    buffer_clear(&r->body, BODY_KEEP);
    r->head.session_cookie.len = 0;
    return head_reset(&r->head, config) &&
           buffer_reserve(&r->head_text, (size_t)config->headers_size) &&
           buffer_reserve(&r->body,
                          (size_t)config->body_size * (size_t)config->body_sectors);
}

void response_rest(struct response *r)
{
    if (r->body.len == 0)
        buffer_free(&r->body);
    if (r->head_text.len == 0)
        buffer_free(&r->head_text);
}

void response_free(struct response *r)
{
    head_free(&r->head);
    buffer_free(&r->head_text);
    buffer_free(&r->body);
    *r = (struct response){0};
}

enum how {
    NOW,    /* the body so far */
    PUSHED, /* the same, without waiting */
    END,    /* and the end of the response */
};

static int64_t write_timeout(const struct response *r)
{
    return r->config->write_timeout > 0 ? r->config->write_timeout : -1;
}

/* Sends the head if it has not gone out, then the body so far. false: no memory for the
 * head; nothing went out. */
static bool transmit(struct response *r, enum how how)
{
    int64_t length = how == END ? (int64_t)r->body.len : -1;
    if (!r->head_sent && !head_write(&r->head, r->of_head, length, &r->head_text)) {
        buffer_clear(&r->head_text, HEAD_KEEP); /* for the head of the error page */
        r->peer->cut = true;
        return false;
    }
    r->head_sent = true;
    r->body_sent |= r->body.len > 0;
    if (r->of_head || head_is_without_content(&r->head))
        r->body.len = 0;
    r->sent += r->peer->gone ? 0 : r->body.len;
    struct iovec head = {r->head_text.data, r->head_text.len};
    if (how == END)
        peer_end(r->peer, head, &r->body, write_timeout(r));
    else if (how == PUSHED)
        peer_push(r->peer, head, &r->body, write_timeout(r));
    else
        peer_write(r->peer, (struct iovec[]){head, {r->body.data, r->body.len}}, 2,
                   write_timeout(r));
    buffer_clear(&r->head_text, HEAD_KEEP);
    buffer_clear(&r->body, BODY_KEEP);
    return true;
}

bool response_flush(struct response *r)
{
    if (r->head_sent && r->body.len == 0)
        return true;
    return transmit(r, NOW);
}

bool response_push(struct response *r)
{
    if (r->head_sent && r->body.len == 0)
        return true;
    return transmit(r, PUSHED);
}

bool response_settle(struct response *r, bool waits, bool *moved)
{
    enum io_status status = peer_settle(r->peer, waits ? write_timeout(r) : 0);
    *moved = status == IO_OK;
    return status == IO_END;
}

bool response_append(struct response *r, const void *data, size_t len)
{
    return r->peer->gone || r->peer->over || buffer_append(&r->body, data, len);
}

bool response_is_due(const struct response *r)
{
    return r->body.len > 0 &&
           (!r->buffering || (r->head_sent && r->body.len >= STREAM_BYTES));
}

bool response_send(struct response *r, const void *data, size_t len)
{
    return response_append(r, data, len) && (!response_is_due(r) || response_flush(r));
}

void response_reset(struct response *r, bool all)
{
    buffer_clear(&r->body, BODY_KEEP);
    if (all && !r->head_sent)
        head_reset(&r->head, r->config); /* on failure what was set stays */
}

void response_fail(struct response *r, int status, const char *path,
                   const struct page_detail *detail)
{
    buffer_clear(&r->body, BODY_KEEP);
    if (r->head_sent) {
        r->peer->cut = true;
        return;
    }
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    if (!head_reset(&r->head, r->config))
        headers_reset(&r->head.headers, NULL); /* nothing of the script's may stay */
    head_set_status(&r->head, code, strlen(code));
    head_set(&r->head, "Content-Type", 12, PAGE_TYPE, strlen(PAGE_TYPE));
    if (!page_write(&r->body, r->head.status, path, detail))
        r->body.len = 0; /* the status alone */
}

/* The web server takes a response that ends for a whole one, and may keep it in a cache.
 */
void response_finish(struct response *r)
{
    if (!r->peer->cut || !r->head_sent)
        transmit(r, END);
}
