/* What a peer has not taken yet of a response. Of one that is complete it leaves with the
 * connection and is sent from the poller, so that the peer's pace holds no worker. Of one
 * that goes on its script waits for it, and other requests are served meanwhile.
 *
 * All of them together hold MaxPendingOutput bytes at most. The owner of the
 * connection calls these. Nothing blocks. */
#ifndef LUAFCGID2_FASTCGI_REST_H
#define LUAFCGID2_FASTCGI_REST_H

#include "base/buffer.h"
#include "fastcgi/frames.h"
#include "fastcgi/io.h"
#include "fastcgi/slot.h"
#include <stdbool.h>

/* Keeps what is not sent of `f`, which has two parts: any bytes, and all of `body`. The
 * memory of `body` is taken, unless little is left in it, or it is counted elsewhere.
 * false: MaxPendingOutput does not allow it, or out of memory; nothing has changed. */
bool rest_keep(struct connection *c, const struct frames *f, struct buffer *body);

/* Sends until the socket is full. IO_TIMEOUT: it is, and an event will tell when there is
 * room; IO_OK: there may be more room, but others should have their turn; IO_END: all is
 * sent; it may be asked again; IO_ABORTED: the peer is gone. */
enum io_status rest_send(struct connections *set, struct connection *c);

/* Bytes that are still to be sent; 0: nothing is kept. */
size_t rest_left(const struct connection *c);

/* For the heartbeat, when that seems to be late: perhaps no worker was free to look.
 * true: the peer has taken something, or is gone, and a worker is to go on with `c`. */
bool rest_try(struct connections *set, struct connection *c);

/* The peer takes no more: what is left is freed, and cut_tell is next. */
void rest_give_up(struct connections *set, struct connection *c);

#endif
