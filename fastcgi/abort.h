/* FCGI_ABORT_REQUEST (FastCGI 5.4): the web server wants no answer any more, and says so
 * on a connection that stays. */
#ifndef LUAFCGID2_FASTCGI_ABORT_H
#define LUAFCGID2_FASTCGI_ABORT_H

#include "fastcgi/slot.h"
#include <stdbool.h>

/* Whether that record of the connection's request is among the bytes that nobody has read
 * yet: those in memory and, with `all`, the first ones in the socket. It is not seen
 * behind more of a body than that. Takes none of them. By the owner, or for a request
 * that waits under the waiters' lock. Does not block. */
bool abort_has_come(const struct connection *c, bool all);

/* By the owner: ends the request for the peer, if that has asked for it and can still be
 * told (FastCGI 5.5). true: the connection is as after a response. */
bool abort_answer(struct connection *c);

#endif
