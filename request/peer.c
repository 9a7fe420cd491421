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
        log_warning("the request's body came too slowly (ReadTimeout)");
    if (status == IO_ABORTED)
        p->gone = p->cut = true;
    return status;
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

void peer_report(struct peer *p, const char *message, size_t len, int64_t timeout)
{
    if (!p->gone && !p->over && p->operations->report != NULL)
        note_written(p, p->operations->report(p->context, message, len, timeout));
}
