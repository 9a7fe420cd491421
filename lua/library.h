/* The standard library as scripts get it.
 *
 * Where a function of Lua's library works on the whole process, scripts get one that
 * works on their own state, or does nothing: os.exit ends the request, standard output is
 * the log (lua/output.h), random numbers are a state's own (lua/random.h), children start
 * with nothing of the daemon's (lua/child.h). What loads Lua loads source only
 * (lua/load.h). What could outlive a limit is guarded (lua/guard.h). */
#ifndef LUAFCGID2_LUA_LIBRARY_H
#define LUAFCGID2_LUA_LIBRARY_H

#include <lua.h>

/* Replaces functions of the libraries that luaL_openlibs opened in L, a state of
 * lua/script.c. Raises Lua errors; leaves the stack as it found it. */
void library_open(lua_State *L);

#endif
