/* The standard library as scripts get it.
 *
 * What belongs to the whole process is given to each state alone, or taken away: os.exit
 * ends the request, random numbers are a state's own, standard output is the log,
 * children start clean. What could outlive a limit is fenced (lua/guard.h). What reads
 * Lua reads source only, and is remembered, so that an edited file renews the states made
 * from it. */
#ifndef LUAFCGID2_LUA_LIBRARY_H
#define LUAFCGID2_LUA_LIBRARY_H

#include <lua.h>

/* Replaces functions of the libraries that luaL_openlibs opened in L, a state of
 * lua/script.c. Raises Lua errors; leaves the stack as it found it. */
void library_open(lua_State *L);

#endif
