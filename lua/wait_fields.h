/* A wait as the function that waits sees it. A stream of events may have to send comments
 * before it is over (lua/keepalive.h). Part of a state, which has one at a time; for
 * lua/wait.c. */
#ifndef LUAFCGID2_LUA_WAIT_FIELDS_H
#define LUAFCGID2_LUA_WAIT_FIELDS_H

#include <lua.h>
#include <stdint.h>

struct wait {
    int64_t until; /* nanoseconds of base/clock.h, or AWAITED_FOREVER */
    lua_KContext context;
    lua_KFunction k;
};

#endif
