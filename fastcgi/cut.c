/* Responses that are not whole: the script failed after a flush, its time was over, the
 * peer took too long to read, or the daemon ends.
 *
 * A close alone looks to some web servers like the end of a whole response, which they
 * then pass off as one, and keep in a cache. So a record that nobody takes for one goes
 * before it. The peer must see it in its right place: when it has a part of a record, the
 * rest of that goes first. What does not fit into the socket waits in the poller.
 *
 * Runs in the worker that owns the connection, but for connections_cut_all, which runs in
 * whoever ends the process while workers are still busy. No locks: `stage` says who may
 * write. Who moves it from STAGE_OPEN to STAGE_CUT sends the record. */
#include "fastcgi/private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

/* As send(2), without waiting. */
static ssize_t send_now(struct connection *c, const uint8_t *data, size_t len)
{
    ssize_t n;
    do
        n = send(c->fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

static bool from_open_to_cut(struct connection *c)
{
    unsigned char stage = STAGE_OPEN;
    return atomic_compare_exchange_strong(&c->stage, &stage, STAGE_CUT);
}

/* -- By the owner -- */

bool connection_keep_rest(struct connection *c, const struct iovec *parts, int count)
{
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len += parts[i].iov_len;
    uint8_t *p = malloc(len + RECORD_CUT_SIZE);
    if (!p)
        return false;
    c->pending = p;
    c->pending_cap = len + RECORD_CUT_SIZE;
    for (int i = 0; i < count; i++) {
        memcpy(p, parts[i].iov_base, parts[i].iov_len);
        p += parts[i].iov_len;
    }
    c->pending_len = len + record_put_cut(p, c->id);
    return true;
}

bool connection_is_cut_short(struct connection *c)
{
    unsigned char stage = atomic_load_explicit(&c->stage, memory_order_acquire);
    return c->output == CONNECTION_OK ? stage == STAGE_OPEN || stage == STAGE_CUT
                                      : c->output == CONNECTION_TIMEOUT;
}

static void forget_sent(struct connection *c, size_t n)
{
    c->pending_len -= n;
    memmove(c->pending, c->pending + n, c->pending_len);
}

/* Until the socket is full: of less no event would tell when there is room again. */
enum connection_status connection_send_cut(struct connection *c)
{
    c->again = false;
    while (c->pending_len > 0) {
        ssize_t n = send_now(c, c->pending, c->pending_len);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? CONNECTION_OK
                                                           : CONNECTION_ABORTED;
        forget_sent(c, (size_t)n);
    }
    return CONNECTION_END;
}

/* The last resort, which only TCP has. */
void connection_reset(struct connection *c)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

/* true: the peer has been told. What there was no room for is kept. */
static bool tell_now(struct connection *c)
{
    uint8_t record[RECORD_CUT_SIZE];
    ssize_t n = send_now(c, record, record_put_cut(record, c->id));
    if (n == (ssize_t)sizeof record)
        return true;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return false;
    if (connection_keep_rest(c, NULL, 0) && n > 0)
        forget_sent(c, (size_t)n);
    return false;
}

bool connection_cut(struct connections *set, struct connection_reader *r,
                    struct connection *c)
{
    if (c->output == CONNECTION_OK && !from_open_to_cut(c))
        return false; /* the process is about to end, and whoever ends it writes there */
    if (c->output == CONNECTION_OK && tell_now(c))
        return true;
    if (c->pending) {
        connection_set_kind(c, KIND_CUT);
        c->again = false;
        connection_look(set, r, c);
    } else {
        connection_reset(c);
        connection_close(set, c);
    }
    return false;
}

/* -- By whoever ends the process -- */

void connections_cut_all(struct connections *set)
{
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        struct connection *c = &set->table[i];
        uint8_t record[RECORD_CUT_SIZE];
        if (from_open_to_cut(c))
            send_now(c, record, record_put_cut(record, c->id));
        else if (atomic_load(&c->stage) == STAGE_WRITING)
            connection_reset(c);
    }
}
