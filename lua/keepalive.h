/* Streams of events that wait: a comment now and then keeps the connection alive, and
 * shows that a client has gone where the web server tells only whoever sends (option
 * EventKeepAlive; HTML standard, section 9.2.7). */
#ifndef LUAFCGID2_LUA_KEEPALIVE_H
#define LUAFCGID2_LUA_KEEPALIVE_H

#include "lua/call.h"

#include <lua.h>
#include <stdint.h>

/* Notes that an event goes out now: the response is a stream from now on. */
void keepalive_begin(struct call *call);

/* Nanoseconds of base/clock.h: when the next comment is to be sent, if nothing else is
 * till then. AWAITED_FOREVER: never. `call` may be NULL. */
int64_t keepalive_due(const struct call *call);

/* Sends a comment, unless the script is in the middle of sending something. Raises when
 * memory is short. */
void keepalive_send(lua_State *L, struct call *call);

#endif
