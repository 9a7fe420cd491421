/* Files of hooks. A hook that keeps what it opens would in the end have every descriptor
 * of the process, and no visitor could connect any more.
 *
 * Runs on the thread that owns the engine, owns nothing, has no locks. */
#include "config/spare.h"

#include "base/reserve.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>

static bool has_room(lua_State *L)
{
    if (!reserve_spares())
        lua_gc(L, LUA_GCCOLLECT, 0);
    return reserve_spares();
}

/* The function that was there, in the frame of this one, so that its errors name it. */
static int go_on(lua_State *L)
{
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* io.open, io.popen, io.tmpfile */
static int open_or_fail(lua_State *L)
{
    return has_room(L) ? go_on(L) : luaL_fileresult(L, 0, NULL);
}

/* io.lines, io.input, io.output: they open a file only by its name. */
static int open_or_raise(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING || has_room(L))
        return go_on(L);
    luaL_fileresult(L, 0, lua_tostring(L, 1));
    return luaL_error(L, "%s", lua_tostring(L, -2));
}

/* Replaces a function of the table on top, unless it is one of the file. */
static void guard(lua_State *L, const luaL_Reg *row)
{
    int top = lua_gettop(L);
    lua_getfield(L, top, row->name);
    if (lua_iscfunction(L, -1) && lua_getupvalue(L, -1, 1) == NULL) {
        lua_pushcclosure(L, row->func, 1);
        lua_setfield(L, top, row->name);
    }
    lua_settop(L, top);
}

void spare_replace(lua_State *L)
{
    static const luaL_Reg rows[] = {
        {"open", open_or_fail},
        {"popen", open_or_fail},
        {"tmpfile", open_or_fail},
        {"lines", open_or_raise},
        {"input", open_or_raise},
        {"output", open_or_raise},
        {NULL, NULL},
    };
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "_LOADED");
    if (lua_getfield(L, -1, LUA_IOLIBNAME) == LUA_TTABLE)
        for (const luaL_Reg *row = rows; row->name != NULL; row++)
            guard(L, row);
    lua_pop(L, 2);
}
