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

/* Gives up the buffer at that index: the next scratch_push may push it. No Lua code may
 * have seen it. */
void scratch_give_back(lua_State *L, int index);

/* Both: scratch_result for the buffer at that index, which is given back. */
int scratch_finish(lua_State *L, int index);

#endif
