/* What is done with bytes that no request has used: a head is put together, the rest of a
 * body dropped, a closing peer waited for.
 *
 * Runs in the worker that owns the connection; no locks, nothing shared. Owns the
 * workers' memory (struct connection_reader) and, of a connection, the pending bytes.
 *
 * A worker reads into its own memory, which is of use for one connection at a time. What
 * is not a whole request when the worker turns away is kept as the connection's pending
 * bytes. */
#include "fastcgi/private.h"

#include "base/clock.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FIRST_PENDING = 2048,
    LOOK_ROUNDS = 32, /* reads in one look */
};

enum look { LOOK_COMPLETE, LOOK_MORE, LOOK_LINGER, LOOK_CLOSE };

/* -- Pending bytes -- */

/* Room behind pending bytes. It doubles: bytes that trickle in are not copied for each. A
 * head that is allowed, and a record between, always fit the reader's memory. */
static bool grow_pending(struct connection *c, size_t limit)
{
    if (c->pending_len < c->pending_cap)
        return true;
    size_t cap = c->pending_cap ? 2 * c->pending_cap : FIRST_PENDING;
    cap = cap < limit ? cap : limit;
    uint8_t *p = cap > c->pending_len ? realloc(c->pending, cap) : NULL;
    if (!p)
        return false;
    c->pending = p;
    c->pending_cap = cap;
    return true;
}

/* Keeps `len` bytes that no request has used. */
static bool keep_pending(struct connection *c, const uint8_t *data, size_t len,
                         size_t limit)
{
    if (len == 0)
        return true;
    size_t cap = len < FIRST_PENDING / 2 ? FIRST_PENDING : len + FIRST_PENDING;
    c->pending_cap = cap < limit ? cap : limit;
    c->pending = malloc(c->pending_cap);
    if (!c->pending) {
        c->pending_cap = 0;
        return false;
    }
    memcpy(c->pending, data, len);
    c->pending_len = len;
    return true;
}

/* What no request has used goes with the connection. */
static bool leave_reader(struct connection *c)
{
    struct connection_reader *r = c->reader;
    connection_forget_pending(c);
    return keep_pending(c, r->feed.data + r->from, r->to - r->from,
                        connection_reader_room(r));
}

/* -- Heads -- */

/* Deals with one record that does not belong to the head. */
static enum look cut_record(struct connection *c, enum record_verdict verdict,
                            uint8_t *data, size_t *len)
{
    struct record_head *h = &c->head;
    bool ok = true, go_on = true;
    switch (verdict) {
    case RECORD_CUT_VALUES:
        ok = connection_answer_values(c, data + h->cut);
        break;
    case RECORD_CUT_UNKNOWN:
        ok = connection_answer_unknown(c, h->cut_type);
        break;
    case RECORD_CUT_MPX:
        ok = connection_answer_end(c, h->cut_id, RECORD_CANT_MPX_CONN);
        break;
    case RECORD_CUT_ROLE:
        ok = connection_answer_end(c, h->cut_id, RECORD_UNKNOWN_ROLE);
        go_on = h->cut_keep;
        break;
    case RECORD_CUT_ABORT:
        ok = connection_answer_end(c, h->cut_id, RECORD_REQUEST_COMPLETE);
        go_on = h->cut_keep;
        break;
    default:
        break;
    }
    *len = record_cut(h, verdict, data, *len);
    return !ok ? LOOK_CLOSE : go_on ? LOOK_MORE : LOOK_LINGER;
}

static enum look check_head(struct connections *set, struct connection *c, uint8_t *data,
                            size_t *len)
{
    for (;;) {
        enum record_verdict verdict = record_check(&c->head, data, *len, set->max_head);
        if (verdict == RECORD_MORE)
            return LOOK_MORE;
        if (verdict == RECORD_COMPLETE)
            return LOOK_COMPLETE;
        if (record_fault(verdict)) {
            connections_log_fault(set, LOG_LEVEL_WARNING, "request refused: %s",
                                  record_fault(verdict));
            return LOOK_CLOSE;
        }
        enum look result = cut_record(c, verdict, data, len);
        if (result != LOOK_MORE)
            return result;
    }
}

/* Forgets what is before the head, so that what is to come has room. */
static size_t compact(struct record_head *h, uint8_t *data, size_t len)
{
    size_t start = h->start;
    if (start > 0) {
        memmove(data, data + start, len - start);
        h->start = 0;
        h->pos -= start;
    }
    return len - start;
}

/* The request is this worker's. What was received, `len` bytes with the head in them, is
 * in the reader's memory from `base` on. */
static void begin_request(struct connection_reader *r, struct connection *c, size_t base,
                          size_t len)
{
    if (c->pending) {
        memcpy(r->feed.data + base, c->pending, len);
        connection_forget_pending(c);
    }
    r->from = base + c->head.pos;
    c->head.start += base;
    c->head.end += base;
    record_pack(&c->head, r->feed.data);
    r->to = base + len;
    c->id = c->head.id;
    c->keep = c->head.keep;
    c->ended = false;
    atomic_store_explicit(&c->stage, STAGE_NONE, memory_order_relaxed);
    c->body = CONNECTION_OK;
    c->content = c->padding = 0;
    c->strays = 0;
    c->drained = 0;
}

/* One recv(2) behind `*len` bytes. COMPLETE: something came. MORE: nothing is there. */
static enum look receive_more(struct connection *c, uint8_t *data, size_t *len,
                              size_t cap)
{
    ssize_t n;
    do {
        n = recv(c->fd, data + *len, cap - *len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->again = c->again || (size_t)n == cap - *len;
        *len += (size_t)n;
        return LOOK_COMPLETE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->again = false;
        return LOOK_MORE;
    }
    return LOOK_CLOSE;
}

/* An incomplete head leaves the reader's memory, and its time runs from its first byte.
 */
static enum look await_head(struct connection_reader *r, struct connection *c,
                            const uint8_t *data, size_t len)
{
    if (!c->pending && !keep_pending(c, data, len, connection_reader_room(r)))
        return LOOK_CLOSE;
    if (len == 0)
        connection_forget_pending(c);
    else if (connection_kind_of(c) == KIND_IDLE)
        connection_set_kind(c, KIND_HEAD);
    return LOOK_MORE;
}

/* Where the bytes of a head are: in the connection's own memory, if some came before,
 * else in the reader's: in its last page, so that libfcgi, which always asks for 8 KiB,
 * copies no more than that; or, when they are more, at its beginning. `base` is where in
 * the reader's memory they are, or will be when the head is whole. */
struct place {
    uint8_t *data;
    size_t len, cap, base;
};

static struct place find_place(struct connection_reader *r, struct connection *c)
{
    if (c->pending) {
        return (struct place){c->pending, c->pending_len, c->pending_cap,
                              RECORD_PACK_ROOM};
    }
    size_t base = r->feed.size - FEED_PAGE + RECORD_PACK_ROOM;
    return (struct place){r->feed.data + base, 0, r->feed.size - base, base};
}

static bool make_space(struct connection_reader *r, struct connection *c,
                       struct place *at)
{
    if (c->pending) {
        bool ok = grow_pending(c, connection_reader_room(r));
        at->data = c->pending;
        at->cap = c->pending_cap;
        return ok;
    }
    if (at->len == at->cap) {
        size_t base = RECORD_PACK_ROOM;
        memmove(r->feed.data + base, at->data, at->len);
        *at = (struct place){r->feed.data + base, at->len, r->feed.size - base, base};
    }
    return at->len < at->cap;
}

/* Checks and receives until the head is there or the socket is empty. A read that does
 * not fill the room has emptied it, unless the peer has closed: `again` tells. */
static enum look look_head(struct connections *set, struct connection_reader *r,
                           struct connection *c)
{
    struct place at = find_place(r, c);
    bool empty = false;
    for (int round = 0;; round++) {
        enum look result = check_head(set, c, at.data, &at.len);
        if (result == LOOK_COMPLETE)
            begin_request(r, c, at.base, at.len);
        if (result != LOOK_MORE)
            return result;
        at.len = compact(&c->head, at.data, at.len);
        c->pending_len = c->pending ? at.len : 0;
        if (empty || round == LOOK_ROUNDS)
            return await_head(r, c, at.data, at.len);
        if (!make_space(r, c, &at) ||
            (result = receive_more(c, at.data, &at.len, at.cap)) == LOOK_CLOSE)
            return LOOK_CLOSE;
        empty = result == LOOK_MORE || !c->again;
    }
}

/* -- Bodies and ends -- */

/* The body is over: the next request may come. */
static bool become_idle(struct connection *c)
{
    c->head = (struct record_head){0};
    connection_set_kind(c, KIND_IDLE);
    return leave_reader(c);
}

bool connection_await_next(struct connection *c)
{
    if (c->body == CONNECTION_END)
        return become_idle(c);
    connection_set_kind(c, KIND_DRAIN);
    return leave_reader(c);
}

/* Goes on dropping a body. COMPLETE here means that it is over. */
static enum look drain_more(struct connection *c)
{
    switch (connection_drain(c)) {
    case CONNECTION_END:
        return become_idle(c) ? LOOK_COMPLETE : LOOK_CLOSE;
    case CONNECTION_OK:
        return leave_reader(c) ? LOOK_MORE : LOOK_CLOSE;
    default:
        return LOOK_LINGER;
    }
}

static enum look look_drain(struct connections *set, struct connection_reader *r,
                            struct connection *c)
{
    if (c->pending)
        memcpy(r->feed.data, c->pending, c->pending_len);
    r->from = 0;
    r->to = c->pending_len;
    enum look result = drain_more(c);
    return result == LOOK_COMPLETE ? look_head(set, r, c) : result;
}

static enum look look_linger(struct connection_reader *r, struct connection *c)
{
    for (int round = 0; round < LOOK_ROUNDS; round++) {
        size_t len = 0;
        enum look result = receive_more(c, r->feed.data, &len, r->feed.size);
        if (result != LOOK_COMPLETE)
            return result;
    }
    c->again = true;
    return LOOK_MORE;
}

static enum look look_cut(struct connection *c)
{
    enum connection_status status = connection_send_cut(c);
    return status == CONNECTION_OK    ? LOOK_MORE
           : status == CONNECTION_END ? LOOK_LINGER
                                      : LOOK_CLOSE;
}

static void begin_linger(struct connection *c)
{
    connection_forget_pending(c);
    shutdown(c->fd, SHUT_WR);
    connection_set_kind(c, KIND_LINGER);
    c->again = true;
}

/* -- Looking -- */

static enum look look_once(struct connections *set, struct connection_reader *r,
                           struct connection *c)
{
    c->reader = r;
    switch (connection_kind_of(c)) {
    case KIND_DRAIN:
        return look_drain(set, r, c);
    case KIND_LINGER:
        return look_linger(r, c);
    case KIND_CUT:
        return look_cut(c);
    default:
        return look_head(set, r, c);
    }
}

bool connection_look(struct connections *set, struct connection_reader *r,
                     struct connection *c)
{
    for (;;) {
        switch (look_once(set, r, c)) {
        case LOOK_COMPLETE:
            return true;
        case LOOK_LINGER:
            begin_linger(c);
            break;
        case LOOK_MORE:
            if (c->again) { /* it never stops sending: no sweep finds it parked */
                if (!connection_close_if_late(set, c, clock_ticks()))
                    connections_defer(set, c); /* others first */
                return false;
            }
            if (connection_park(set, c))
                return false;
            break;
        default:
            connection_close(set, c);
            return false;
        }
    }
}

void connection_linger(struct connections *set, struct connection_reader *r,
                       struct connection *c)
{
    begin_linger(c);
    connection_look(set, r, c);
}

/* -- The reader -- */

struct connection_reader *connection_reader_create(const struct connections *set)
{
    struct connection_reader *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->set = (struct connections *)set;
    size_t size = set->max_head + RECORD_MAX_SIZE + FEED_PAGE;
    if (!feed_open(&r->feed, size - size % FEED_PAGE + FEED_PAGE, set->max_head)) {
        int error = errno;
        if (error == EMSGSIZE)
            log_error("MaxHeadSize is more than a socket pair takes on this system");
        free(r);
        errno = error;
        return NULL;
    }
    return r;
}

void connection_reader_destroy(struct connection_reader *r)
{
    if (r) {
        feed_close(&r->feed);
        free(r);
    }
}
