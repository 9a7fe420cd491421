/* Hooks leave some descriptors for the daemon. For the files of this folder only. */
#ifndef LUAFCGID2_CONFIG_SPARE_H
#define LUAFCGID2_CONFIG_SPARE_H

#include <lua.h>

/* Replaces the functions of io that open something in L, the state of an engine: they
 * fail with EMFILE, as the system's own do, while only those descriptors are left that
 * scripts leave as well (base/reserve.h). What is forgotten is collected first. Call it
 * after child_replace. Raises Lua errors; leaves the stack as it found it. */
void spare_replace(lua_State *L);

#endif
