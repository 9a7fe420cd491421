/* One request of one connection: its head handed to libfcgi, its body read, its response
 * written.
 *
 * Runs in the worker that owns the connection; no locks, nothing shared.
 *
 * The body comes from two places, always in this order: bytes that arrived together with
 * the head, in the reader's memory, and the socket. Content of large FCGI_STDIN records
 * goes straight into the caller's memory. Bytes behind the end of the body stay in the
 * reader's memory: they are the next request's. */
#include "fastcgi/stream.h"

#include "fastcgi/answer.h"
#include "fastcgi/cut.h"
#include "fastcgi/frames.h"
#include "fastcgi/rest.h"
#include "fastcgi/slot.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

enum {
    DIRECT_MIN = 4096, /* content from which a copy costs more than a shorter read */
    DIRECT_TAIL = 4096,
    DRAIN_LIMIT = 262144, /* bytes of an unread body that a kept connection may cost */
    MAX_STRAYS = 1000,    /* records in one body that are none of it */
    REPORT_MAX = 8192,    /* bytes of a message for the web server's log */
    MOMENT = 5,           /* ms */
    MOST_TRUST = 16,
    LOOK_AGAIN = 1000, /* ms between two looks at MaxPendingOutput */
};

/* -- The head -- */

bool stream_begin(struct connection *c, struct fcgi *fcgi, char **params, size_t *len)
{
    struct connection_reader *r = c->reader;
    *len = c->head.params;
    return fcgi_begin(fcgi, &r->feed, r->to, &c->head, params);
}

/* -- The body -- */

/* Receives into `parts`, at least one byte. */
static enum io_status receive(struct connection *c, struct iovec *parts, int count,
                              int64_t timeout, size_t *got)
{
    for (;;) {
        ssize_t n = io_receive_parts(c->fd, parts, count);
        if (n > 0) {
            *got = (size_t)n;
            return IO_OK;
        }
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            c->again = false;
            enum io_status status = io_wait(c->fd, POLLIN, timeout);
            if (status != IO_OK)
                return status;
        } else {
            return IO_ABORTED;
        }
    }
}

/* Receives more bytes into the reader's memory, behind those that are there. A whole
 * record always fits. A read that fills it may have left bytes in the socket that no
 * event tells of. */
static enum io_status fill(struct connection *c, int64_t timeout)
{
    struct connection_reader *r = c->reader;
    if (r->from > 0) {
        memmove(r->feed.data, r->feed.data + r->from, r->to - r->from);
        r->to -= r->from;
        r->from = 0;
    }
    struct iovec part = {.iov_base = r->feed.data + r->to,
                         .iov_len = slot_reader_room(r) - r->to};
    size_t got = 0;
    enum io_status status = receive(c, &part, 1, timeout, &got);
    r->to += got;
    c->again = c->again || got == part.iov_len;
    return status;
}

/* Receives until there are `n` bytes at r->from. */
static enum io_status need(struct connection *c, size_t n, int64_t timeout)
{
    struct connection_reader *r = c->reader;
    while (r->to - r->from < n) {
        enum io_status status = fill(c, timeout);
        if (status != IO_OK)
            return status;
    }
    return IO_OK;
}

/* Answers a record among the body that does not belong to it and is wholly at `p`. */
static bool answer_other(struct connection *c, enum record_body what, const uint8_t *p,
                         const struct record *record)
{
    switch (what) {
    case RECORD_BODY_SILENT:
        return true;
    case RECORD_BODY_VALUES:
        return answer_values(c, p);
    case RECORD_BODY_UNKNOWN:
        return answer_unknown(c, record->type);
    case RECORD_BODY_MPX:
        return answer_end(c, record->id, RECORD_CANT_MPX_CONN);
    default:
        return false;
    }
}

static enum io_status skip_padding(struct connection *c, int64_t timeout)
{
    enum io_status status = need(c, c->padding, timeout);
    if (status == IO_OK) {
        c->reader->from += c->padding;
        c->padding = 0;
    }
    return status;
}

/* Goes to the next record when the content of the last is used up. IO_OK: look at
 * c->content again. */
static enum io_status next_record(struct connection *c, int64_t timeout)
{
    struct connection_reader *r = c->reader;
    enum io_status status = skip_padding(c, timeout);
    if (status != IO_OK || (status = need(c, RECORD_HEADER_SIZE, timeout)) != IO_OK)
        return status;
    struct record record = record_decode(r->feed.data + r->from);
    enum record_body what = record_body(&record, c->id);
    if (what == RECORD_BODY_DATA) {
        c->content = record.length;
        c->padding = record.padding;
        r->from += RECORD_HEADER_SIZE;
        return IO_OK;
    }
    if (what == RECORD_BODY_BAD || what == RECORD_BODY_ABORT)
        return IO_ABORTED;
    status = need(c, record_size(&record), timeout);
    if (status != IO_OK)
        return status;
    if (what != RECORD_BODY_END && ++c->strays > MAX_STRAYS)
        return IO_ABORTED; /* else a worker could be held for ever */
    if (what != RECORD_BODY_END &&
        !answer_other(c, what, r->feed.data + r->from, &record))
        return IO_ABORTED;
    r->from += record_size(&record);
    return what == RECORD_BODY_END ? IO_END : IO_OK;
}

/* After a timeout the call may be tried again. Any other status stays. */
static enum io_status settle_body(struct connection *c, enum io_status status)
{
    if (status != IO_TIMEOUT)
        c->body = status;
    return status;
}

/* Content straight from the socket. What comes behind it goes to the reader's memory,
 * which is empty. */
static enum io_status read_direct(struct connection *c, void *data, size_t size,
                                  int64_t timeout, size_t *got)
{
    struct connection_reader *r = c->reader;
    struct iovec parts[2] = {{data, size}, {r->feed.data, DIRECT_TAIL}};
    enum io_status status = receive(c, parts, 2, timeout, got);
    c->again = c->again || *got == size + DIRECT_TAIL;
    r->from = r->to = 0;
    if (*got > size) {
        r->to = *got - size;
        *got = size;
    }
    return status;
}

enum io_status stream_read(struct connection *c, void *data, size_t size, size_t *got,
                           int64_t timeout)
{
    struct connection_reader *r = c->reader;
    enum io_status status = c->body;
    *got = 0;
    while (status == IO_OK && c->content == 0)
        status = next_record(c, timeout);
    size_t n = size < c->content ? size : c->content;
    if (status != IO_OK || n == 0)
        return settle_body(c, status);
    if (r->from == r->to && n >= DIRECT_MIN) {
        status = read_direct(c, data, n, timeout, got);
    } else if ((status = need(c, 1, timeout)) == IO_OK) {
        *got = n < r->to - r->from ? n : r->to - r->from;
        memcpy(data, r->feed.data + r->from, *got);
        r->from += *got;
    }
    c->content -= (uint32_t)*got;
    return settle_body(c, status);
}

enum io_status stream_drain(struct connection *c)
{
    struct connection_reader *r = c->reader;
    enum io_status status = c->body;
    while (status == IO_OK) {
        size_t n = r->to - r->from < c->content ? r->to - r->from : c->content;
        r->from += n;
        c->content -= (uint32_t)n;
        c->drained += n;
        if (c->drained > DRAIN_LIMIT) {
            status = IO_ABORTED;
        } else if (c->content > 0) {
            status = fill(c, 0);
        } else {
            status = next_record(c, 0);
            c->drained += RECORD_HEADER_SIZE;
        }
    }
    settle_body(c, status);
    return status == IO_TIMEOUT ? IO_OK : status;
}

/* -- The response -- */

/* The peer takes no more at once. `*left` is how long it may go on doing so. Where there
 * may be room for the rest later, it is looked at again before that. */
static enum io_status await_room(struct connection *c, bool may_keep, int64_t *left)
{
    int64_t most = may_keep && (*left < 0 || *left > LOOK_AGAIN) ? LOOK_AGAIN : *left;
    enum io_status status = io_wait(c->fd, POLLOUT, most);
    if (status != IO_TIMEOUT || *left == most)
        return status;
    *left -= *left < 0 ? 0 : most;
    return IO_OK;
}

/* A peer that reads has mostly read something in a moment, and then its worker sends what
 * it has just written, which costs half as much. But hundreds of slow peers would have
 * all workers wait for a while. So each that did not read takes away the trust of two
 * that did, and without trust nobody is given a moment until the next tick. */
static bool reads_in_a_moment(struct connection *c)
{
    atomic_int *trust = &c->reader->set->trust;
    int now = atomic_load_explicit(trust, memory_order_relaxed);
    if (now <= 0)
        return false;
    bool reads = io_wait(c->fd, POLLOUT, MOMENT) == IO_OK;
    if (!reads)
        atomic_fetch_sub_explicit(trust, TRUST, memory_order_relaxed);
    else if (now < MOST_TRUST)
        atomic_fetch_add_explicit(trust, 1, memory_order_relaxed);
    return reads;
}

/* With `body` what the peer does not take may be kept for it. */
static enum io_status send_frames(struct connection *c, struct frames *f,
                                  struct buffer *body, int64_t timeout)
{
    int64_t left = timeout;
    while (frames_left(f) > 0) {
        struct frames_batch b;
        frames_fill(&b, f);
        ssize_t n = io_send_parts(c->fd, b.parts, b.count);
        if (n >= 0) {
            f->sent += (size_t)n;
            left = timeout;
        } else if (errno != EAGAIN && errno != EWOULDBLOCK) {
            return IO_ABORTED;
        } else {
            if (body != NULL && reads_in_a_moment(c))
                continue;
            if (body != NULL && rest_keep(c, f, body))
                return IO_OK;
            enum io_status status = await_room(c, body != NULL, &left);
            if (status != IO_OK)
                return status;
        }
    }
    return IO_OK;
}

/* false: the connection was cut meanwhile. */
static bool may_write(struct connection *c)
{
    if (atomic_exchange(&c->stage, STAGE_WRITING) != STAGE_CUT)
        return true;
    atomic_store(&c->stage, STAGE_CUT);
    return false;
}

/* What was kept of earlier writes goes first. */
static enum io_status send_rest(struct connection *c, int64_t timeout)
{
    struct connections *set = c->reader->set;
    enum io_status status = IO_OK;
    size_t before = rest_left(c);
    while ((status = rest_send(set, c)) == IO_OK || status == IO_TIMEOUT) {
        if (status == IO_OK)
            continue;
        if (timeout == 0)
            return rest_left(c) < before ? IO_OK : IO_TIMEOUT;
        if (io_wait(c->fd, POLLOUT, timeout) != IO_OK) {
            rest_give_up(set, c);
            return IO_TIMEOUT;
        }
    }
    if (status == IO_ABORTED) {
        slot_forget_rest(set, c);
        c->output = IO_ABORTED;
    }
    return status;
}

static enum io_status write_frames(struct connection *c, struct frames *f,
                                   struct buffer *body, int64_t timeout)
{
    if (c->ended && frames_left(f) > 0)
        return IO_ABORTED;
    if (c->output != IO_OK || frames_left(f) == 0)
        return c->output;
    if (c->rest != NULL && send_rest(c, timeout == 0 ? -1 : timeout) != IO_END)
        return c->output;
    if (!may_write(c))
        return IO_ABORTED;
    c->ended = f->closes;
    c->output = send_frames(c, f, body, timeout);
    if (c->output == IO_TIMEOUT)
        cut_keep_rest(c, f);
    if (c->output == IO_OK && c->rest == NULL)
        atomic_store_explicit(&c->stage, c->ended ? STAGE_WHOLE : STAGE_OPEN,
                              memory_order_release);
    return c->output;
}

enum io_status stream_write(struct connection *c, const struct iovec *parts, int count,
                            bool end, int64_t timeout)
{
    struct frames f = frames_of(parts, count, c->id, end);
    return write_frames(c, &f, NULL, timeout);
}

enum io_status stream_end(struct connection *c, struct iovec head, struct buffer *body,
                          int64_t timeout)
{
    const struct iovec parts[2] = {head, {body->data, body->len}};
    struct frames f = frames_of(parts, 2, c->id, true);
    return write_frames(c, &f, body, timeout);
}

enum io_status stream_push(struct connection *c, struct iovec head, struct buffer *body,
                           int64_t timeout)
{
    const struct iovec parts[2] = {head, {body->data, body->len}};
    struct frames f = frames_of(parts, 2, c->id, false);
    return write_frames(c, &f, body, timeout);
}

enum io_status stream_settle(struct connection *c, int64_t timeout)
{
    if (c->output != IO_OK)
        return c->output;
    return c->rest == NULL ? IO_END : send_rest(c, timeout);
}

void stream_give_up(struct connection *c)
{
    if (c->rest != NULL)
        rest_give_up(c->reader->set, c);
}

/* What of a message the peer has not taken goes before what tells that the response is
 * not whole. */
static void keep_message(struct connection *c, const struct frames *f)
{
    if (c->rest != NULL)
        rest_give_up(c->reader->set, c);
    else
        cut_keep_rest(c, f);
    if (f->sent == 0)
        cut_insert(c, f);
    c->output = IO_TIMEOUT;
}

static bool has_room(const struct connection *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    return poll(&p, 1, 0) > 0;
}

static enum io_status send_message(struct connection *c, struct frames *f)
{
    if (c->rest != NULL) {
        enum io_status status = send_rest(c, 0);
        if (status != IO_END)
            return status == IO_ABORTED ? IO_ABORTED : IO_TIMEOUT;
    }
    if (!may_write(c))
        return IO_ABORTED;
    c->output = send_frames(c, f, NULL, 0);
    if (c->output == IO_OK)
        atomic_store_explicit(&c->stage, STAGE_OPEN, memory_order_release);
    return c->output;
}

enum io_status stream_report(struct connection *c, const char *message, size_t len)
{
    const struct iovec part = {(void *)(uintptr_t)message,
                               len < REPORT_MAX ? len : REPORT_MAX};
    struct frames f = frames_of(&part, 1, c->id, false);
    bool begun = atomic_load(&c->stage) != STAGE_NONE;
    f.type = RECORD_STDERR;
    if (c->ended || c->output != IO_OK || len == 0)
        return c->output;
    if (!begun && !has_room(c))
        return IO_OK;
    enum io_status status = send_message(c, &f);
    if (status != IO_TIMEOUT)
        return status;
    keep_message(c, &f);
    return begun ? IO_OK : IO_TIMEOUT;
}
