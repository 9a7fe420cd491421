/* load, loadfile and dofile. They run in the thread that owns the state. */
#include "lua/load.h"

#include "lua/chunk.h"
#include "lua/guard.h"
#include "lua/limit.h"
#include "lua/state.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

/* Makes the value at `index` the _ENV of the function on top. */
static void set_env(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    if (lua_setupvalue(L, -2, 1) == NULL)
        lua_pop(L, 1);
}

static int base_load(lua_State *L)
{
    bool has_env = !lua_isnone(L, 4);
    size_t len;
    const char *text = lua_tolstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, text == NULL ? "=(load)" : text);
    const char *mode = state_mode(L, luaL_optstring(L, 3, NULL));
    if (text == NULL)
        luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 5);
    int status = text == NULL ? chunk_load_parts(L, name, mode)
                              : chunk_load(L, text, len, name, mode);
    limit_check(L);
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env)
        set_env(L, 4);
    return 1;
}

/* Pushes the chunk of a file and returns true, or pushes a message. */
static bool load_file(lua_State *L, const char *name, const char *mode)
{
    int error = state_load_file(L, name, mode);
    if (error == ENOENT)
        state_note_absent(L, name);
    if (error > 0)
        lua_pushfstring(L, "cannot open %s: %s", name, strerror(error));
    return error == 0;
}

static int base_loadfile(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const char *asked = luaL_optstring(L, 2, NULL), *mode = state_mode(L, asked);
    bool has_env = !lua_isnone(L, 3);
    if (mode[0] == '\0') {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: only source can be loaded (mode is '%s')", name, asked);
        return 2;
    }
    if (!load_file(L, name, mode)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env)
        set_env(L, 3);
    return 1;
}

static int base_dofile(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (!load_file(L, name, state_mode(L, NULL)))
        return lua_error(L);
    lua_remove(L, 1);
    lua_callk(L, 0, LUA_MULTRET, 0, guard_all_results);
    return lua_gettop(L);
}

void load_open(lua_State *L)
{
    static const struct guard_row rows[] = {
        {"_G", "load", base_load},
        {"_G", "loadfile", base_loadfile},
        {"_G", "dofile", base_dofile},
        {0},
    };
    guard_replace_all(L, rows);
}
