/* Responses that are not whole, and what tells the peer so.
 *
 * The owner of the connection calls these; cut_at_exit is for any thread. Nothing blocks.
 */
#ifndef LUAFCGID2_FASTCGI_CUT_H
#define LUAFCGID2_FASTCGI_CUT_H

#include "fastcgi/frames.h"
#include "fastcgi/io.h"
#include "fastcgi/slot.h"
#include <stdbool.h>

/* Whether some of a response has gone out, and the rest never will. */
bool cut_is_due(struct connection *c);

enum cut_result {
    CUT_TOLD,    /* the peer has been told */
    CUT_WAITS,   /* it does not take that yet: `c` is of KIND_CUT, and cut_send goes on */
    CUT_DROPPED, /* it cannot be told: close `c`, which is a reset where that exists */
    CUT_TAKEN,   /* the process is about to end, and cut_at_exit tells it: leave `c` */
};

/* Tells the peer. */
enum cut_result cut_tell(struct connection *c);

/* Keeps what is left of the record of `f` that the peer has got a part of, for cut_tell.
 * Without memory for it cut_tell will say CUT_DROPPED. */
void cut_keep_rest(struct connection *c, const struct frames *f);

/* After that: keeps all of `f`, which fits a batch, for the peer to get before it is
 * told. Without memory for it the peer does not get it. */
void cut_insert(struct connection *c, const struct frames *f);

/* Goes on sending what cut_tell had no room for. IO_OK: not yet; IO_END: all is sent;
 * IO_ABORTED: the peer is gone. */
enum io_status cut_send(struct connection *c);

/* The process is about to end, and a worker may own `c`: tells the peer if a response has
 * begun. The worker may write no more of it. Any thread. */
void cut_at_exit(struct connection *c);

#endif
