/* Buffers that belong to Lua, for functions that build a text outside Lua's strings.
 *
 * Such a buffer is freed by Lua's collector, so an error raised while it is filled leaks
 * nothing. What it holds counts for the state's memory limit. */
#ifndef LUAFCGID2_LUA_SCRATCH_H
#define LUAFCGID2_LUA_SCRATCH_H

#include "base/buffer.h"

#include <lua.h>

/* Pushes an empty buffer and returns it; it lives as long as the value on the stack. */
struct buffer *scratch_push(lua_State *L);

/* Pushes the buffer's content as a string and empties the buffer. Returns 1, the number
 * of values that it pushed. */
int scratch_result(lua_State *L, struct buffer *b);

#endif
