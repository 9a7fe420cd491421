/* How connections come in from the listening socket. Nothing blocks. */
#ifndef LUAFCGID2_FASTCGI_ACCEPT_H
#define LUAFCGID2_FASTCGI_ACCEPT_H

#include "fastcgi/slot.h"

/* Accepts until nobody waits. Keeps the first connection whose request is there already,
 * and returns it: the caller's, with the request in `r`. The others are deferred to any
 * worker. NULL: no request was there. */
struct connection *accept_waiting(struct connections *set, struct connection_reader *r);

/* The same if something was left to do: after a burst, or when something ran out and
 * RETRY_TIME is over. */
struct connection *accept_retry(struct connections *set, struct connection_reader *r);

/* For a stop, once, in any thread: takes in who has connected, as far as there are slots,
 * and refuses all others. */
void accept_last(struct connections *set);

#endif
