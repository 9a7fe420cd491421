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
    static const char *const names[] = {
        "a nil value (global 'setfenv')", "a nil value (global 'getfenv')",
        "a nil value (global 'module')", "a nil value (field 'seeall')"};
    size_t len = strlen(message);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (len >= n && strcmp(message + len - n, names[i]) == 0)
            return ": it is in lua51.lua, which is installed with the daemon "
                   "(StartupScript)";
    }
    return NULL;
}
