/* Compiling Lua source under the limits of its state.
 *
 * Lua's parser calls no hook, so no hook can end it. It gets its text in small pieces
 * instead, and the limit is checked before each. No piece alone takes long. */
#ifndef LUAFCGID2_LUA_CHUNK_H
#define LUAFCGID2_LUA_CHUNK_H

#include <lua.h>
#include <stddef.h>

/* Pushes the compiled function or a message, and returns the status, as lua_load does. A
 * `mode` with 'b' lets bytecode through, which nothing checks: state_mode (lua/state.h)
 * says whether that is allowed. */
int chunk_load(lua_State *L, const char *text, size_t len, const char *name,
               const char *mode);

/* The same for a text in parts: the function at index 1 is called until it returns nil or
 * "". Index 5 is used for the part that it returned last. */
int chunk_load_parts(lua_State *L, const char *name, const char *mode);

#endif
