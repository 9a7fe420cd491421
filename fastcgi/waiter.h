/* Requests that wait without a thread: for a moment, a descriptor, a waker, or their
 * peer.
 *
 * Each request has a waiter, which is one of these, in this order, again and again:
 *
 *     idle      the request is worked on; who works on it owns the waiter
 *     counted   the same, and there is room for it to wait (waiter_claim)
 *     waiting   nobody works on it; the set has the waiter
 *     ready     something of what it waits for has come; it is in the list of those
 *
 * connection_wait gives the ready ones out, in the order in which they became so, by
 * turns with new requests. The connection stays the request's own while it waits: the
 * poller tells that the peer has closed its end, or has sent something that may abort the
 * request, and of nothing else unless it is waited for.
 *
 * A waiter begins with a waker (base/waker.h), and lives as long as that. */
#ifndef LUAFCGID2_FASTCGI_WAITER_H
#define LUAFCGID2_FASTCGI_WAITER_H

#include "base/waker.h"

#include <stdbool.h>
#include <stddef.h>

struct connection;
struct connections;
struct poller_event;
struct waiter;

/* So many requests of a set may wait at once. */
#define WAITER_MOST 40000

/* -- A request's side -- */

/* `owner` is for waiter_owner. One reference of its waker is the caller's; waiter_destroy
 * gives it back, when the waiter is idle. NULL: out of memory. */
struct waiter *waiter_create(struct connections *set, void *owner);
void waiter_destroy(struct waiter *w); /* NULL is allowed */

void *waiter_owner(const struct waiter *w);
struct waker *waiter_waker(struct waiter *w);

/* Makes room for one more that waits, if fewer than `most` do. A second call does
 * nothing. false: they are too many, or there is no memory. Does not block. */
bool waiter_claim(struct waiter *w, int most);

/* It will not wait after all. Does nothing when it is idle. */
void waiter_drop(struct waiter *w);

/* It waits, after waiter_claim. `c` is its connection, or NULL; it must be laid down.
 * From now on another thread may have the request. */
void waiter_begin(struct waiter *w, struct connection *c, const struct awaited *what);

/* By who got it from connection_take_ready: what has come, AWAITED_ or'ed. It is idle. */
unsigned waiter_end(struct waiter *w);

/* -- The set's side, for its other files -- */

bool waiters_create(struct connections *set); /* false: out of memory */
void waiters_destroy(struct connections *set);

/* How many wait, or are ready. Any thread. */
unsigned waiters_count(struct connections *set);

/* Takes what an event of the poller means for those that wait; kicks nobody. false: the
 * event is none of theirs. */
bool waiters_on_event(struct connections *set, const struct poller_event *event);

/* The same for an event of a connection that its request owns. true: that is ready now.
 */
bool waiters_on_peer(struct connections *set, struct connection *c, bool hangup);

/* The first that is ready, the caller's. NULL: there is none. */
struct waiter *waiters_take(struct connections *set);
bool waiters_are_ready(struct connections *set);

/* A mark, and whether all that were ready at it have been taken. */
unsigned waiters_mark(struct connections *set);
bool waiters_are_passed(struct connections *set, unsigned mark);

/* The daemon stops: all are ready but those that wait for input or output of their peer.
 */
void waiters_stop(struct connections *set);

#endif
