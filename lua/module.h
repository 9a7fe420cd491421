/* Where require finds modules: package.path, package.cpath and the searchers.
 *
 * The names of the document root and the script's directory may have any characters,
 * even ';' and '?', which mean something in package.path. Files that require did not
 * find are remembered: when one appears, the state is renewed. */
#ifndef LUAFCGID2_LUA_MODULE_H
#define LUAFCGID2_LUA_MODULE_H

#include <lua.h>

/* Sets both paths and replaces the searchers of L, a state of lua/script.c in which the
 * libraries are open. Raises Lua errors; leaves the stack as it found it. */
void module_open(lua_State *L);

#endif
