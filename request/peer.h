/* The other end of a request: its parameters and its body come from there, its response
 * goes there.
 *
 * A web server's connection is one (daemon/exchange.c). Whatever else can be one has a
 * table of operations, too; the rest of request/ sees no difference. Owned by the
 * request; used by the thread that works on it. */
#ifndef LUAFCGID2_REQUEST_PEER_H
#define LUAFCGID2_REQUEST_PEER_H

#include "fastcgi/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `context` is what request_begin was given. Timeouts are in milliseconds; < 0: for ever.
 */
struct peer_operations {
    /* The parameters, for params_parse: `*len` bytes at `*pairs` and room for one more,
     * which may be changed and last until the request is over. Does not block. false: the
     * request cannot be answered. */
    bool (*begin)(void *context, char **pairs, size_t *len);

    /* As stream_read. */
    enum io_status (*read)(void *context, void *data, size_t size, size_t *got,
                           int64_t timeout);

    /* As stream_write, without an end. */
    enum io_status (*write)(void *context, const struct iovec *parts, int count,
                            int64_t timeout);

    /* As stream_end. */
    enum io_status (*end)(void *context, struct iovec head, struct buffer *body,
                          int64_t timeout);

    /* As stream_push, stream_settle and stream_give_up. All NULL: it takes all at once.
     */
    enum io_status (*push)(void *context, struct iovec head, struct buffer *body,
                           int64_t timeout);
    enum io_status (*settle)(void *context, int64_t timeout);
    void (*give_up)(void *context);

    /* As stream_report. NULL: there is nobody to tell. */
    enum io_status (*report)(void *context, const char *message, size_t len);
};

struct peer {
    const struct peer_operations *operations;
    void *context;
    bool over; /* it has its response: what is read or written later is not */
    bool gone; /* it went away: nothing more is sent or kept */
    bool cut;  /* the response is not whole: the peer must not be used again */
};

/* The operations on `p`, which notes how it goes: IO_ABORTED and every failure of writing
 * mean that the peer is gone. Then nothing more is written to it. */
bool peer_begin(struct peer *p, char **pairs, size_t *len);
enum io_status peer_read(struct peer *p, void *data, size_t size, size_t *got,
                         int64_t timeout);

/* Without waiting. IO_TIMEOUT: nothing is there yet. */
enum io_status peer_try_read(struct peer *p, void *data, size_t size, size_t *got);

/* The body has not come for too long. */
void peer_note_late(struct peer *p);

void peer_write(struct peer *p, const struct iovec *parts, int count, int64_t timeout);
void peer_end(struct peer *p, struct iovec head, struct buffer *body, int64_t timeout);
void peer_push(struct peer *p, struct iovec head, struct buffer *body, int64_t timeout);

/* Goes on with what was pushed. IO_END also when nobody is there to take it. */
enum io_status peer_settle(struct peer *p, int64_t timeout);
void peer_give_up(struct peer *p);
void peer_report(struct peer *p, const char *message, size_t len);

#endif
