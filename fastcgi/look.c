/* What is done with bytes that no request has used: a head is put together, the rest of a
 * body dropped, a closing peer waited for.
 *
 * Runs in the worker that owns the connection; no locks, nothing shared. Owns the pending
 * bytes of the connection.
 *
 * A worker reads into its own memory, which is of use for one connection at a time. What
 * is not a whole request when the worker turns away is kept as the connection's pending
 * bytes. */
#include "fastcgi/look.h"

#include "base/clock.h"
#include "base/log.h"
#include "fastcgi/answer.h"
#include "fastcgi/cut.h"
#include "fastcgi/rest.h"
#include "fastcgi/stream.h"
#include "fastcgi/sweep.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    FIRST_PENDING = 2048,
    LOOK_ROUNDS = 32, /* reads in one look */
};

/* What happens with a connection after a look. */
enum look {
    LOOK_REQUEST, /* it has a whole head: the worker serves it */
    LOOK_WAIT,    /* it waits for more bytes, or for room to send */
    LOOK_LINGER,  /* no more is sent; it waits for the peer to close */
    LOOK_CLOSE,
};

/* What a read has found. */
enum arrival { ARRIVAL_BYTES, ARRIVAL_NONE, ARRIVAL_END };

/* -- Pending bytes -- */

/* Makes room behind the pending bytes. The memory doubles, so that bytes that trickle in
 * are not copied each time. `limit` is the size of the reader's memory: an allowed head
 * and a record inside it always fit. */
static bool grow_pending(struct connection *c, size_t limit)
{
    if (c->pending_len < c->pending_cap)
        return true;
    size_t cap = 2 * c->pending_cap;
    cap = cap > FIRST_PENDING ? cap : FIRST_PENDING;
    cap = cap < limit ? cap : limit;
    uint8_t *p = cap > c->pending_len ? realloc(c->pending, cap) : NULL;
    if (p == NULL)
        return false;
    c->pending = p;
    c->pending_cap = cap;
    return true;
}

/* Keeps `len` bytes that no request has used. While a script waits these are mostly the 8
 * that end a body without bytes, so there is no room for more. */
static bool keep_pending(struct connection *c, const uint8_t *data, size_t len)
{
    if (len == 0)
        return true;
    c->pending = malloc(len);
    if (c->pending == NULL)
        return false;
    memcpy(c->pending, data, len);
    c->pending_cap = c->pending_len = len;
    return true;
}

/* The connection takes with it what no request has used. */
static bool leave_reader(struct connection *c)
{
    struct connection_reader *r = c->reader;
    slot_forget_pending(c);
    return keep_pending(c, r->feed.data + r->from, r->to - r->from);
}

/* Copies them to the reader's memory, which is free. */
static void fetch_pending(struct connection *c)
{
    struct connection_reader *r = c->reader;
    if (c->pending != NULL)
        memcpy(r->feed.data, c->pending, c->pending_len);
    r->from = 0;
    r->to = c->pending_len;
}

/* -- Heads -- */

/* Answers one record that does not belong to the head. */
static bool answer(struct connection *c, enum record_verdict verdict, const uint8_t *data)
{
    struct record_head *h = &c->head;
    switch (verdict) {
    case RECORD_CUT_VALUES:
        return answer_values(c, data + h->cut);
    case RECORD_CUT_UNKNOWN:
        return answer_unknown(c, h->cut_type);
    case RECORD_CUT_MPX:
        return answer_end(c, h->cut_id, RECORD_CANT_MPX_CONN);
    case RECORD_CUT_ROLE:
        return answer_end(c, h->cut_id, RECORD_UNKNOWN_ROLE);
    case RECORD_CUT_ABORT:
        return answer_end(c, h->cut_id, RECORD_REQUEST_COMPLETE);
    default:
        return true;
    }
}

/* Whether the peer wants the connection closed after this record. */
static bool is_last(const struct record_head *h, enum record_verdict verdict)
{
    return (verdict == RECORD_CUT_ROLE || verdict == RECORD_CUT_ABORT) && !h->cut_keep;
}

/* LOOK_WAIT: the head is not whole yet. */
static enum look check_head(struct connections *set, struct connection *c, uint8_t *data,
                            size_t *len)
{
    for (;;) {
        enum record_verdict verdict = record_check(&c->head, data, *len, set->max_head);
        if (verdict == RECORD_MORE)
            return LOOK_WAIT;
        if (verdict == RECORD_COMPLETE)
            return LOOK_REQUEST;
        if (record_fault(verdict) != NULL) {
            if (slots_may_log_fault(set))
                log_warning("request refused: %s", record_fault(verdict));
            return LOOK_CLOSE;
        }
        if (!answer(c, verdict, data))
            return LOOK_CLOSE;
        bool last = is_last(&c->head, verdict);
        *len = record_cut(&c->head, verdict, data, *len);
        if (last)
            return LOOK_LINGER;
    }
}

/* Drops what is before the head, to make room for what will come. */
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
    if (c->pending != NULL) {
        memcpy(r->feed.data + base, c->pending, len);
        slot_forget_pending(c);
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
    c->body = IO_OK;
    c->content = c->padding = 0;
    c->strays = 0;
    c->drained = 0;
}

/* One recv(2) behind `*len` bytes. */
static enum arrival receive_more(struct connection *c, uint8_t *data, size_t *len,
                                 size_t cap)
{
    ssize_t n;
    do {
        n = recv(c->fd, data + *len, cap - *len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->again = c->again || (size_t)n == cap - *len;
        *len += (size_t)n;
        return ARRIVAL_BYTES;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->again = false;
        return ARRIVAL_NONE;
    }
    return ARRIVAL_END;
}

/* An incomplete head leaves the reader's memory, and its time runs from its first byte.
 */
static enum look await_head(struct connection *c, const uint8_t *data, size_t len)
{
    if (c->pending == NULL && !keep_pending(c, data, len))
        return LOOK_CLOSE;
    if (len == 0)
        slot_forget_pending(c);
    else if (slot_kind_of(c) == KIND_IDLE)
        slot_set_kind(c, KIND_HEAD);
    return LOOK_WAIT;
}

/* Where the bytes of a head are. If some of them came before, they are in the
 * connection's own memory. Else they are in the reader's: in its last page, because
 * libfcgi always asks for 8 KiB and so copies no more than that page; or at its
 * beginning, when the page is too small. `base` is their place in the reader's memory,
 * now or when the head is whole. */
struct place {
    uint8_t *data;
    size_t len, cap, base;
};

static struct place find_place(struct connection_reader *r, struct connection *c)
{
    if (c->pending != NULL) {
        return (struct place){c->pending, c->pending_len, c->pending_cap,
                              RECORD_PACK_ROOM};
    }
    size_t base = r->feed.size - FEED_PAGE + RECORD_PACK_ROOM;
    return (struct place){r->feed.data + base, 0, r->feed.size - base, base};
}

static bool make_space(struct connection_reader *r, struct connection *c,
                       struct place *at)
{
    if (c->pending != NULL) {
        bool ok = grow_pending(c, slot_reader_room(r));
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
 * not fill the room has emptied the socket. But when `again` is set, the peer may have
 * closed, and only another read finds that. */
static enum look look_head(struct connections *set, struct connection_reader *r,
                           struct connection *c)
{
    struct place at = find_place(r, c);
    bool empty = false;
    for (int round = 0;; round++) {
        enum look result = check_head(set, c, at.data, &at.len);
        if (result == LOOK_REQUEST)
            begin_request(r, c, at.base, at.len);
        if (result != LOOK_WAIT)
            return result;
        at.len = compact(&c->head, at.data, at.len);
        c->pending_len = c->pending != NULL ? at.len : 0;
        if (empty || round == LOOK_ROUNDS)
            return await_head(c, at.data, at.len);
        if (!make_space(r, c, &at))
            return LOOK_CLOSE;
        enum arrival arrival = receive_more(c, at.data, &at.len, at.cap);
        if (arrival == ARRIVAL_END)
            return LOOK_CLOSE;
        empty = arrival == ARRIVAL_NONE || !c->again;
    }
}

/* -- Bodies and ends -- */

/* The body is over: the next request may come. */
static bool become_idle(struct connection *c)
{
    c->head = (struct record_head){0};
    slot_set_kind(c, KIND_IDLE);
    return leave_reader(c);
}

bool look_await_next(struct connection *c)
{
    if (c->body == IO_END)
        return become_idle(c);
    slot_set_kind(c, KIND_DRAIN);
    return leave_reader(c);
}

/* If the output has failed, the pending bytes are those still to be sent, and the unread
 * bytes are lost; so they are without memory. Then the body counts as broken off, and no
 * other request may come. */
void look_lay_down(struct connection *c)
{
    bool kept = c->output == IO_OK && leave_reader(c);
    if (!kept)
        c->keep = false;
    if (!kept && c->body == IO_OK)
        c->body = IO_ABORTED;
    c->reader = NULL;
}

void look_take_up(struct connection *c, struct connection_reader *r)
{
    c->reader = r;
    r->from = r->to = 0;
    if (c->output != IO_OK)
        return;
    fetch_pending(c);
    slot_forget_pending(c);
}

/* Goes on dropping a body. Behind its end the next head may be. */
static enum look look_drain(struct connections *set, struct connection_reader *r,
                            struct connection *c)
{
    fetch_pending(c);
    switch (stream_drain(c)) {
    case IO_END:
        return become_idle(c) ? look_head(set, r, c) : LOOK_CLOSE;
    case IO_OK:
        return leave_reader(c) ? LOOK_WAIT : LOOK_CLOSE;
    default:
        return LOOK_LINGER;
    }
}

static enum look look_closing(struct connection_reader *r, struct connection *c)
{
    for (int round = 0; round < LOOK_ROUNDS; round++) {
        size_t len = 0;
        enum arrival arrival = receive_more(c, r->feed.data, &len, r->feed.size);
        if (arrival != ARRIVAL_BYTES)
            return arrival == ARRIVAL_NONE ? LOOK_WAIT : LOOK_CLOSE;
    }
    c->again = true;
    return LOOK_WAIT;
}

/* Nothing more will be sent. A close cuts nothing off if the peer has sent all that it
 * will send. Else the peer is given time to read. */
static enum look part(const struct connections *set, const struct connection *c)
{
    bool silent = c->body == IO_END && !(c->keep && set->tcp);
    return silent || c->output != IO_OK ? LOOK_CLOSE : LOOK_LINGER;
}

/* The response is out. What came meanwhile is looked at: its events are over. */
static enum look look_after_response(struct connections *set, struct connection_reader *r,
                                     struct connection *c)
{
    fetch_pending(c);
    slot_forget_pending(c);
    c->again = true;
    stream_drain(c);
    if (!c->stays || !c->keep || c->body == IO_ABORTED || slots_are_ending(set))
        return part(set, c);
    if (!look_await_next(c))
        return LOOK_CLOSE;
    return c->body == IO_END ? look_head(set, r, c) : LOOK_WAIT;
}

/* Goes on with a response that its worker has left. */
static enum look look_out(struct connections *set, struct connection_reader *r,
                          struct connection *c)
{
    size_t before = rest_left(c);
    enum io_status status = rest_send(set, c);
    if (rest_left(c) < before)
        slot_set_kind(c, KIND_OUT); /* its time begins again */
    c->again = status == IO_OK;
    if (status == IO_OK || status == IO_TIMEOUT)
        return LOOK_WAIT;
    return status == IO_END ? look_after_response(set, r, c) : LOOK_CLOSE;
}

static enum look look_cut(struct connection *c)
{
    enum io_status status = cut_send(c);
    return status == IO_OK ? LOOK_WAIT : status == IO_END ? LOOK_LINGER : LOOK_CLOSE;
}

static void begin_linger(struct connection *c)
{
    slot_forget_pending(c);
    shutdown(c->fd, SHUT_WR);
    slot_set_kind(c, KIND_LINGER);
    c->again = true;
}

/* -- Looking -- */

static enum look look_once(struct connections *set, struct connection_reader *r,
                           struct connection *c)
{
    c->reader = r;
    switch (slot_kind_of(c)) {
    case KIND_DRAIN:
        return look_drain(set, r, c);
    case KIND_LINGER:
        return look_closing(r, c);
    case KIND_OUT:
        return look_out(set, r, c);
    case KIND_CUT:
        return look_cut(c);
    default:
        return look_head(set, r, c);
    }
}

bool look_at(struct connections *set, struct connection_reader *r, struct connection *c)
{
    for (;;) {
        switch (look_once(set, r, c)) {
        case LOOK_REQUEST:
            return true;
        case LOOK_LINGER:
            begin_linger(c);
            break;
        case LOOK_WAIT:
            if (c->again) { /* the sweep may never find it parked */
                if (!sweep_close_if_late(set, c, clock_ticks()))
                    slot_defer(set, c); /* others first */
                return false;
            }
            if (slot_park(set, c))
                return false;
            break;
        default:
            slot_close(set, c);
            return false;
        }
    }
}

void look_let_go(struct connections *set, struct connection_reader *r,
                 struct connection *c)
{
    if (part(set, c) == LOOK_CLOSE) {
        slot_close(set, c);
        return;
    }
    begin_linger(c);
    look_at(set, r, c);
}
