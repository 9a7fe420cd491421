/* Random numbers of scripts: math.random and math.randomseed. */
#ifndef LUAFCGID2_LUA_RANDOM_H
#define LUAFCGID2_LUA_RANDOM_H

#include <lua.h>

/* Replaces these functions in L, a state in which the libraries are open. Each state has
 * a generator of its own; Lua's functions share one among all threads of the process. It
 * is seeded by the system, and by math.randomseed() without a number again. Raises Lua
 * errors; leaves the stack as it found it. */
void random_open(lua_State *L);

#endif
