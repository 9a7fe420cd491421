/* Programs that scripts start: os.execute and io.popen. */
#ifndef LUAFCGID2_LUA_CHILD_H
#define LUAFCGID2_LUA_CHILD_H

#include <lua.h>

/* Replaces these functions, and the finalizer of files, in L, a state in which the
 * libraries are open. A child gets none of the daemon's descriptors and blocked signals
 * (base/process.h). It is killed, with what it has started, when its script runs out of
 * time while it waits for it, or when the state is closed. Raises Lua errors; leaves the
 * stack as it found it. */
void child_open(lua_State *L);

#endif
