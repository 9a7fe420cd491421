/* Names of Lua 5.1. Runs in the thread that owns the state; keeps nothing. What cannot be
 * had without the library debug is in scripts/lua51.lua. */
#include "lua/compat.h"

#include "lua/limit.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static int table_getn(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushinteger(L, luaL_len(L, 1));
    return 1;
}

/* The largest key that is a number above 0; else 0. */
static int table_maxn(lua_State *L)
{
    lua_Number most = 0;
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushinteger(L, 0);
    lua_pushnil(L);
    for (size_t i = 1; lua_next(L, 1) != 0; i++) {
        lua_pop(L, 1);
        if (i % 1024 == 0)
            limit_check(L);
        if (lua_type(L, -1) == LUA_TNUMBER && lua_tonumber(L, -1) > most) {
            most = lua_tonumber(L, -1);
            lua_pushvalue(L, -1);
            lua_replace(L, 2);
        }
    }
    return 1;
}

/* Gives a function of the table `from` a second name in `to`. */
static void alias(lua_State *L, const char *from, const char *name, const char *to,
                  const char *also)
{
    lua_getglobal(L, from);
    lua_getfield(L, -1, name);
    lua_getglobal(L, to);
    lua_insert(L, -2);
    lua_setfield(L, -2, also);
    lua_pop(L, 2);
}

void compat_open(lua_State *L)
{
    alias(L, LUA_TABLIBNAME, "unpack", "_G", "unpack");
    alias(L, "_G", "load", "_G", "loadstring");
    alias(L, LUA_STRLIBNAME, "gmatch", LUA_STRLIBNAME, "gfind");
    lua_getglobal(L, LUA_TABLIBNAME);
    lua_pushcfunction(L, table_getn);
    lua_setfield(L, -2, "getn");
    lua_pushcfunction(L, table_maxn);
    lua_setfield(L, -2, "maxn");
    lua_pop(L, 1);
}

const char *compat_hint(const char *message)
{
#define PLACE " is in lua51.lua, which is installed with the daemon (StartupScript)"
    static const struct {
        const char *end, *hint;
    } rows[] = {
        {"a nil value (global 'setfenv')", ": it" PLACE},
        {"a nil value (global 'getfenv')", ": it" PLACE},
        {"a nil value (global 'module')", ": it" PLACE},
        {"a nil value (global 'gcinfo')", ": it" PLACE},
        /* A table of the script's own may want a field of that name. */
        {"a nil value (field 'seeall')", ": package.seeall" PLACE},
        {"a nil value (field 'loaders')", ": package.loaders" PLACE},
        {"a nil value (field 'foreach')", ": table.foreach" PLACE},
        {"a nil value (field 'foreachi')", ": table.foreachi" PLACE},
        {"a nil value (field 'mod')", ": math.mod" PLACE},
    };
#undef PLACE
    size_t len = strlen(message);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = strlen(rows[i].end);
        if (len >= n && strcmp(message + len - n, rows[i].end) == 0)
            return rows[i].hint;
    }
    return NULL;
}
