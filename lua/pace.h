/* The pace of the client: how functions of scripts wait until it has taken what was sent,
 * or has sent more of the body.
 *
 * They wait as lua/wait.h says, with two differences. A client that has gone raises no
 * error: sending to it does nothing, and the body ends. And a stop ends no such wait,
 * because the client may still get its page. Where the request cannot wait without a
 * thread, the thread does. */
#ifndef LUAFCGID2_LUA_PACE_H
#define LUAFCGID2_LUA_PACE_H

#include <lua.h>
#include <stdbool.h>

/* Sends the head and all that is buffered, and calls `k` when the client has taken it, or
 * is gone; with LUA_OK if this thread had to wait itself, else with LUA_YIELD. Raises
 * when memory is short. To be called as `return`. */
int pace_flush(lua_State *L, lua_KContext context, lua_KFunction k);

/* The same where it does not have to wait: false if it has to, and then pace_flush is
 * next. For loops, which would call themselves for each piece. `status` is what `k` was
 * called with: with LUA_OK this waits itself and returns true. Loops begin with
 * LUA_YIELD.
 */
bool pace_flush_now(lua_State *L, int status);

/* For request_try_read, when more is to come later: calls `k` when something may have
 * come, or the time is over, as the next read then says. With LUA_OK that read must be
 * request_read, which blocks. To be called as `return`. */
int pace_await_body(lua_State *L, lua_KContext context, lua_KFunction k);

#endif
