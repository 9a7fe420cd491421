/* Registering the functions and methods of a facility. Runs in the thread that makes the
 * state. Each is a closure over its row; the three functions below find the row and say
 * where the arguments begin. */
#include "lua/facility.h"

#include "lua/con.h"

#include <lauxlib.h>

static int call_row(lua_State *L, int first)
{
    const struct facility_row *row = lua_touserdata(L, lua_upvalueindex(1));
    return row->function(L, first);
}

static int call_function(lua_State *L)
{
    return call_row(L, 1);
}

static int call_con_method(lua_State *L)
{
    con_check(L);
    return call_row(L, 2);
}

/* A method of a table in con, as con.session:start(). */
static int call_table_method(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    return call_row(L, 2);
}

/* Puts the row's function into the table at `table`, unless it has no `name`. */
static void set(lua_State *L, int table, const char *name, lua_CFunction caller,
                const struct facility_row *row)
{
    if (name == NULL)
        return;
    lua_pushlightuserdata(L, (void *)row);
    lua_pushcclosure(L, caller, 1);
    lua_setfield(L, table, name);
}

/* Replaces the table on top by its field `name`, a table that is made if need be. */
static void enter(lua_State *L, const char *name)
{
    if (name == NULL)
        return;
    luaL_getsubtable(L, -1, name);
    lua_remove(L, -2);
}

void facility_open(lua_State *L, const struct facility *facility,
                   const struct config *config)
{
    lua_pushglobaltable(L);
    enter(L, facility->table);
    int functions = lua_gettop(L);
    con_push_methods(L);
    enter(L, facility->con_table);
    int methods = lua_gettop(L);
    lua_CFunction caller =
        facility->con_table == NULL ? call_con_method : call_table_method;
    for (const struct facility_row *row = facility->rows; row->function != NULL; row++) {
        set(L, functions, row->name, call_function, row);
        set(L, methods, row->method, caller, row);
    }
    lua_pop(L, 2);
    if (facility->open != NULL)
        facility->open(L, config);
}
