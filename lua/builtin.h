/* Modules in Lua that are part of the program, so that require finds them wherever it
 * runs and whatever package.path says:
 *
 *   luafcgid2.wsapi   lua/wsapi.lua
 *   luafcgid2.lua51   scripts/lua51.lua, which is installed as a file, too */
#ifndef LUAFCGID2_LUA_BUILTIN_H
#define LUAFCGID2_LUA_BUILTIN_H

#include <lua.h>

/* Makes them known to the require of L, in which the libraries are open. They are
 * compiled when a script first asks for them. Raises Lua errors; leaves the stack as it
 * found it.
 */
void builtin_open(lua_State *L);

#endif
