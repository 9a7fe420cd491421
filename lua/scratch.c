/* Buffers that belong to Lua. Runs in the thread that owns the state; the buffer is a
 * userdata, whose finalizer frees it. */
#include "lua/scratch.h"

#include "lua/limit.h"

#include <lauxlib.h>

#define BUFFER_TYPE "luafcgid2.buffer"

static int free_buffer(lua_State *L)
{
    buffer_free(luaL_checkudata(L, 1, BUFFER_TYPE));
    return 0;
}

struct buffer *scratch_push(lua_State *L)
{
    struct buffer *b = lua_newuserdata(L, sizeof *b);
    *b = (struct buffer){.memory = &limit_of(L)->outside};
    if (luaL_newmetatable(L, BUFFER_TYPE)) {
        lua_pushcfunction(L, free_buffer);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

int scratch_result(lua_State *L, struct buffer *b)
{
    lua_pushlstring(L, b->data == NULL ? "" : b->data, b->len);
    buffer_free(b);
    return 1;
}
