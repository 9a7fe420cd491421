/* How scripts load Lua: load, loadfile and dofile. */
#ifndef LUAFCGID2_LUA_LOAD_H
#define LUAFCGID2_LUA_LOAD_H

#include <lua.h>

/* Replaces these functions in L, a state in which the libraries are open. They load
 * source, and bytecode where AllowBytecode is set, under the limits of the state. Files
 * are sources of the state: when one is edited, the state is renewed. Raises Lua errors;
 * leaves the stack as it found it. */
void load_open(lua_State *L);

#endif
