/* Standard output of scripts: print, io.write and file:write. */
#ifndef LUAFCGID2_LUA_OUTPUT_H
#define LUAFCGID2_LUA_OUTPUT_H

#include <lua.h>

/* Replaces these functions in L, a state in which the libraries are open. What a script
 * writes to standard output or standard error becomes lines of the log. Raises Lua
 * errors; leaves the stack as it found it. */
void output_open(lua_State *L);

#endif
