/* What is done with bytes that no request has used. The owner of the connection calls
 * these. */
#ifndef LUAFCGID2_FASTCGI_LOOK_H
#define LUAFCGID2_FASTCGI_LOOK_H

#include "fastcgi/slot.h"
#include <stdbool.h>

/* Reads what is there and decides. true: `c` has a request, which is in `r`, and stays
 * the caller's. false: `c` was parked, deferred or closed, and is no longer the caller's.
 * Blocks only during a stop, for up to a second, when a response has just been sent. */
bool look_at(struct connections *set, struct connection_reader *r, struct connection *c);

/* Closes `c`. If the peer may still send something, it is told that no more will come,
 * and may read what is there: a close now would be a reset if there is unread input, and
 * a reset can overtake the response. `c` is no longer the caller's. During a stop this
 * may block for up to a second. */
void look_let_go(struct connections *set, struct connection_reader *r,
                 struct connection *c);

/* The response is out: from now on `c` waits for the next request, or, if the body is not
 * over, for the rest of it. What no request has used leaves the reader's memory. false:
 * out of memory. */
bool look_await_next(struct connection *c);

/* In the middle of a request, see connection_lay_down and connection_take_up. */
void look_lay_down(struct connection *c);
void look_take_up(struct connection *c, struct connection_reader *r);

#endif
