/* Names of Lua 5.1 that scripts of luafcgid's time use. */
#ifndef LUAFCGID2_LUA_COMPAT_H
#define LUAFCGID2_LUA_COMPAT_H

#include <lua.h>

/* Adds unpack, loadstring, table.getn, table.maxn and string.gfind to L, in which the
 * other functions of the library are replaced already. Leaves the stack as it found it.
 */
void compat_open(lua_State *L);

/* NULL, or what to append to the message of an error that is about another name of Lua
 * 5.1: where it is to be had. Pure. */
const char *compat_hint(const char *message);

#endif
