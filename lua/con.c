/* `con`: a userdata that holds the number of its request. Runs in the thread that owns
 * the state. The table of methods is the field __index of its metatable. */
#include "lua/con.h"

#include "lua/call.h"

#include <lauxlib.h>

#define CON_TYPE "luafcgid2.con"

struct con {
    unsigned serial; /* lua/call.h; never 0 */
};

void con_open(lua_State *L)
{
    luaL_newmetatable(L, CON_TYPE);
    lua_newtable(L);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

void con_push_methods(lua_State *L)
{
    luaL_getmetatable(L, CON_TYPE);
    lua_getfield(L, -1, "__index");
    lua_remove(L, -2);
}

void con_push(lua_State *L)
{
    struct con *con = lua_newuserdata(L, sizeof *con);
    con->serial = call_serial(L);
    luaL_setmetatable(L, CON_TYPE);
}

void con_check(lua_State *L)
{
    const struct con *con = luaL_checkudata(L, 1, CON_TYPE);
    if (con->serial != call_serial(L))
        luaL_error(L, "this connection belongs to a request that is over");
}
