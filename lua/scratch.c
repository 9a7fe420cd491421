/* Buffers that belong to Lua. Runs in the thread that owns the state; the buffer is a
 * userdata, whose finalizer frees it.
 *
 * Lua 5.3 falls behind when many objects have a finalizer: a loop of calls that left one
 * each would reach the memory limit. So a state keeps one buffer, and uses it again. */
#include "lua/scratch.h"

#include "lua/limit.h"

#include <lauxlib.h>

#define BUFFER_TYPE "luafcgid2.buffer"

static const char spare; /* its address is the key of the kept buffer in the registry */

static int free_buffer(lua_State *L)
{
    buffer_free(luaL_checkudata(L, 1, BUFFER_TYPE));
    return 0;
}

/* Pushes the buffer that is kept. NULL, and nothing pushed: there is none. */
static struct buffer *push_spare(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &spare);
    struct buffer *b = lua_touserdata(L, -1);
    if (b == NULL) {
        lua_pop(L, 1);
        return NULL;
    }
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare);
    return b;
}

struct buffer *scratch_push(lua_State *L)
{
    struct buffer *b = push_spare(L);
    if (b != NULL)
        return b;
    b = lua_newuserdata(L, sizeof *b);
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

void scratch_give_back(lua_State *L, int index)
{
    buffer_free(lua_touserdata(L, index));
    lua_pushvalue(L, index);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &spare);
}

int scratch_finish(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    scratch_result(L, lua_touserdata(L, index));
    scratch_give_back(L, index);
    return 1;
}
