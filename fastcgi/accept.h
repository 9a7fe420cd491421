/* How connections come in from the listening socket. Nothing blocks. */
#ifndef LUAFCGID2_FASTCGI_ACCEPT_H
#define LUAFCGID2_FASTCGI_ACCEPT_H

#include "fastcgi/slot.h"
#include <stdbool.h>
#include <stdint.h>

#define LISTENER_COOKIE (UINT32_MAX - 2) /* of the poller */

/* Accepts until no peer waits. Returns the first connection whose request is there
 * already: it is the caller's, and its request is in `r`. The others are deferred to any
 * worker. NULL: no request is there. */
struct connection *accept_waiting(struct connections *set, struct connection_reader *r);

/* The same, if an earlier call left something to do: after a burst, or after something
 * ran out and RETRY_TIME is over. Else it does nothing. */
struct connection *accept_retry(struct connections *set, struct connection_reader *r);

/* Defers all peers that wait, or leaves them to the worker that accepts next. */
void accept_for_others(struct connections *set);

/* Whether a peer waits to be accepted of which no event will tell. */
bool accept_is_due(struct connections *set);

/* For a stop, once, in any thread. Accepts the peers that have connected already, as far
 * as there are slots, and refuses all later ones. */
void accept_last(struct connections *set);

#endif
