/* Compiling Lua's source under the limits of its state.
 *
 * Lua's parser calls no hook. It gets its text in small pieces, and before each the limit
 * is looked at: what takes long is in the pieces, not in one of them. Source only: no
 * bytecode is loaded. */
#ifndef LUAFCGID2_LUA_CHUNK_H
#define LUAFCGID2_LUA_CHUNK_H

#include <lua.h>
#include <stddef.h>

/* As lua_load: pushes the compiled function, or a message, and returns its status. A
 * `mode` without 't' refuses all. */
int chunk_load(lua_State *L, const char *text, size_t len, const char *name,
               const char *mode);

/* The same of what the function at index 1 returns when it is called, again and again,
 * until it returns nil or "". Uses index 5 for what it returned last. */
int chunk_load_parts(lua_State *L, const char *name, const char *mode);

#endif
