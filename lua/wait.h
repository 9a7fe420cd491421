/* Waiting: how a function that scripts call waits for time, a descriptor, another thread
 * or the peer.
 *
 * Where it can, the script's coroutine yields, and the request waits without a thread
 * (fastcgi/waiter.h). Its clock stands still meanwhile, and another thread may go on with
 * it. Where Lua cannot yield (callbacks of table.sort and string.gsub, __gc, loading by
 * require; limit_may_wait says where), and where no request is being served, the thread
 * waits itself, under all limits: the clock runs.
 *
 * A function that waits is written in two parts, so that it works both ways:
 *
 *     static int go_on(lua_State *L, int status, lua_KContext context)
 *     {
 *         if (wait_came(L) == 0) ...the time is over
 *         return 1;
 *     }
 *
 *     static int f(lua_State *L, int first)
 *     {
 *         struct awaited what = {.until = wait_until(L, first)};
 *         return wait_for(L, &what, 0, go_on);
 *     }
 *
 * Between the two nothing of f is left but the values on L's stack: no luaL_Buffer, and
 * no pointer to what a limit or an error could free. With a waker: reset it, look whether
 * what it is for is there; if it is not, wait with `what` AWAITED_WAKER; look again in
 * go_on, from the reset on. */
#ifndef LUAFCGID2_LUA_WAIT_H
#define LUAFCGID2_LUA_WAIT_H

#include "base/waker.h"

#include <lua.h>
#include <stdbool.h>

/* Waits, and calls `k` (with LUA_YIELD or LUA_OK, whichever way it waited) when something
 * of `what` has come. Raises when the client has gone or the daemon stops, an error that
 * ends the request without an error line; and a refusal with status 503 when too many
 * requests wait (MaxWaiting). Does not return, but is written as `return`. `what` is
 * copied. For AWAITED_INPUT and AWAITED_OUTPUT there is wait_for_peer. */
int wait_for(lua_State *L, const struct awaited *what, lua_KContext context,
             lua_KFunction k);

/* The same for the peer's pace, AWAITED_INPUT or AWAITED_OUTPUT in `what`; for
 * lua/pace.c. Never raises: where the request may not wait without a thread, or has no
 * client any more, that counts as come at once, and `k` is called with LUA_OK. A stop of
 * the daemon does not end it. No comments are sent meanwhile (EventKeepAlive). */
int wait_for_peer(lua_State *L, unsigned what, int64_t until, lua_KFunction k);

/* wait_came for that. AWAITED_END is among what has come, and raises nothing; a broken
 * limit does. */
unsigned wait_came_of_peer(lua_State *L);

/* In `k`, first of all: what has come, AWAITED_ or'ed; 0: the time is over. Raises as
 * wait_for does, and when a limit is broken. */
unsigned wait_came(lua_State *L);

/* Whether wait_for would yield here, as far as Lua is concerned. */
bool wait_may_yield(lua_State *L);

/* The moment that is the optional argument `index`, a number of seconds, from now;
 * AWAITED_FOREVER for none, nil, or what is longer than a lifetime. A number below 0
 * counts as 0. Raises. */
int64_t wait_until(lua_State *L, int index);

/* The waker of the present request: wait_for with AWAITED_WAKER ends when it is woken.
 * Borrowed: whoever keeps it for another thread takes a reference. There is one for all
 * that a request waits for, and it outlives it. Raises when there is no request. */
struct waker *wait_waker(lua_State *L);

#endif
