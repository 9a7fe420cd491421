/* Functions of the string library that could take without end in C, replaced by such that
 * limits reach: find, match, gmatch and gsub (lua/pattern.h), and rep. They do what the
 * Lua 5.3 reference manual says in 6.4. */
#ifndef LUAFCGID2_LUA_STRINGS_H
#define LUAFCGID2_LUA_STRINGS_H

#include <lua.h>

/* Replaces them in a new state of a script. */
void strings_open(lua_State *L);

/* The same in a state of a configuration and its hooks. */
void strings_open_for_hooks(lua_State *L);

#endif
