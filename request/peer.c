/* The other end of a request. Runs in the thread that works on the request; no lock. The
 * request's clock stands still while a read or write waits: each has a timeout. */
#include "request/peer.h"

#include "base/log.h"

bool peer_begin(struct peer *p, char **pairs, size_t *len)
{
    p->gone = p->over = false;
    p->cut = !p->operations->begin(p->context, pairs, len);
    return !p->cut;
}

enum io_status peer_read(struct peer *p, void *data, size_t size, size_t *got,
                         int64_t timeout)
{
    if (p->over)
        return IO_ABORTED;
    enum io_status status = p->operations->read(p->context, data, size, got, timeout);
    if (status == IO_TIMEOUT)
        peer_note_late(p);
    if (status == IO_ABORTED)
        p->gone = p->cut = true;
    return status;
}

enum io_status peer_try_read(struct peer *p, void *data, size_t size, size_t *got)
{
    if (p->over)
        return IO_ABORTED;
    enum io_status status = p->operations->read(p->context, data, size, got, 0);
    if (status == IO_ABORTED)
        p->gone = p->cut = true;
    return status;
}

void peer_note_late(struct peer *p)
{
    (void)p;
    log_warning("the request's body came too slowly (ReadTimeout)");
}

static void note_written(struct peer *p, enum io_status status)
{
    if (status == IO_OK)
        return;
    if (status == IO_TIMEOUT)
        log_warning("the web server did not take the response (WriteTimeout)");
    else
        log_debug("the client went away");
    p->gone = p->cut = true;
}

void peer_write(struct peer *p, const struct iovec *parts, int count, int64_t timeout)
{
    if (!p->gone && !p->over)
        note_written(p, p->operations->write(p->context, parts, count, timeout));
}

void peer_end(struct peer *p, struct iovec head, struct buffer *body, int64_t timeout)
{
    if (!p->gone && !p->over)
        note_written(p, p->operations->end(p->context, head, body, timeout));
}

void peer_push(struct peer *p, struct iovec head, struct buffer *body, int64_t timeout)
{
    if (p->operations->push == NULL)
        peer_write(p, (struct iovec[]){head, {body->data, body->len}}, 2, timeout);
    else if (!p->gone && !p->over)
        note_written(p, p->operations->push(p->context, head, body, timeout));
}

enum io_status peer_settle(struct peer *p, int64_t timeout)
{
    if (p->gone || p->over || p->operations->push == NULL)
        return IO_END;
    enum io_status status = p->operations->settle(p->context, timeout);
    bool waits = timeout == 0 && status == IO_TIMEOUT;
    note_written(p, waits || status == IO_END ? IO_OK : status);
    return p->gone ? IO_END : status;
}

void peer_give_up(struct peer *p)
{
    if (p->gone || p->over || p->operations->push == NULL)
        return;
    p->operations->give_up(p->context);
    note_written(p, IO_TIMEOUT);
}

void peer_report(struct peer *p, const char *message, size_t len)
{
    if (!p->gone && !p->over && p->operations->report != NULL)
        note_written(p, p->operations->report(p->context, message, len));
}
