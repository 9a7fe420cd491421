/* Responses that are not whole: the script failed after a flush, its time was over, the
 * peer took too long to read, or the daemon ends.
 *
 * To some web servers a close alone looks like the end of a whole response: they pass it
 * on as whole, and may keep it in a cache. So a record that every web server takes for an
 * error goes before the close. If the peer has a part of another record, the rest of that
 * goes first. What does not fit into the socket waits in the poller.
 *
 * Runs in the worker that owns the connection, but for cut_at_exit, which runs in the
 * thread that ends the process while workers are still busy. No locks: `stage` says who
 * may write. Who moves it from STAGE_OPEN to STAGE_CUT sends the record. */
#include "fastcgi/cut.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* true: the caller is the one who sends the record. */
static bool from_open_to_cut(struct connection *c)
{
    unsigned char stage = STAGE_OPEN;
    return atomic_compare_exchange_strong(&c->stage, &stage, STAGE_CUT);
}

/* -- By the owner -- */

void cut_keep_rest(struct connection *c, const struct frames *f)
{
    size_t len = frames_open(f);
    uint8_t *p = malloc(len + RECORD_CUT_SIZE);
    if (p == NULL)
        return;
    c->pending = p;
    c->pending_cap = len + RECORD_CUT_SIZE;
    frames_copy_open(f, p);
    c->pending_len = len + record_put_cut(p + len, c->id);
}

void cut_insert(struct connection *c, const struct frames *f)
{
    size_t len = frames_left(f), before = c->pending_len - RECORD_CUT_SIZE;
    uint8_t *p = c->pending == NULL ? NULL : realloc(c->pending, c->pending_len + len);
    if (p == NULL)
        return;
    memmove(p + before + len, p + before, RECORD_CUT_SIZE);
    frames_copy_left(f, p + before);
    c->pending = p;
    c->pending_cap = c->pending_len += len;
}

bool cut_is_due(struct connection *c)
{
    unsigned char stage = atomic_load_explicit(&c->stage, memory_order_acquire);
    return c->output == IO_OK ? stage == STAGE_OPEN || stage == STAGE_CUT
                              : c->output == IO_TIMEOUT;
}

static void forget_sent(struct connection *c, size_t n)
{
    c->pending_len -= n;
    memmove(c->pending, c->pending + n, c->pending_len);
}

/* Sends until the socket is full, because only then an event will tell that there is room
 * again. */
enum io_status cut_send(struct connection *c)
{
    c->again = false;
    while (c->pending_len > 0) {
        ssize_t n = io_send(c->fd, c->pending, c->pending_len);
        if (n < 0)
            return errno == EAGAIN || errno == EWOULDBLOCK ? IO_OK : IO_ABORTED;
        forget_sent(c, (size_t)n);
    }
    return IO_END;
}

/* true: the peer has been told. What there was no room for is kept. */
static bool tell_now(struct connection *c)
{
    uint8_t record[RECORD_CUT_SIZE];
    ssize_t n = io_send(c->fd, record, record_put_cut(record, c->id));
    if (n == (ssize_t)sizeof record)
        return true;
    if (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK)
        return false;
    cut_keep_rest(c, &(struct frames){0});
    if (c->pending != NULL && n > 0)
        forget_sent(c, (size_t)n);
    return false;
}

enum cut_result cut_tell(struct connection *c)
{
    if (c->output == IO_OK && !from_open_to_cut(c))
        return CUT_TAKEN;
    if (c->output == IO_OK && tell_now(c))
        return CUT_TOLD;
    if (c->pending == NULL) {
        slot_reset(c);
        return CUT_DROPPED;
    }
    slot_set_kind(c, KIND_CUT);
    c->again = false;
    return CUT_WAITS;
}

/* -- By the thread that ends the process -- */

void cut_at_exit(struct connection *c)
{
    uint8_t record[RECORD_CUT_SIZE];
    if (from_open_to_cut(c))
        io_send(c->fd, record, record_put_cut(record, c->id));
    else if (atomic_load(&c->stage) == STAGE_WRITING)
        slot_reset(c);
}
