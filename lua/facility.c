/* Registering the functions and methods of facilities. Runs in the thread that owns the
 * state. Each is a closure over its row; three functions below find the row and say where
 * the arguments begin.
 *
 * The tables that are filled when they are looked into share a metatable, which is an
 * upvalue of its functions. It also holds what they have to know: for each of these
 * tables its place (below), and for each row that the table has had, by the address of
 * the row's name, that it is not to be made again. */
#include "lua/facility.h"

#include "lua/con.h"
#include "lua/guard.h"

#include <lauxlib.h>
#include <string.h>

/* -- Calling -- */

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

/* -- Places: where functions are -- */

/* The first facility of the list that has this table, counted from 0: it names the table
 * of functions. That of methods is ~0, ~1, ... */
typedef lua_Integer place;

static bool same(const char *a, const char *b)
{
    return a == b || (a != NULL && b != NULL && strcmp(a, b) == 0);
}

/* Whether the facility has functions in this place. */
static bool is_in(const struct facility *f, const struct facility *const *list, place at)
{
    if (at < 0)
        return same(f->con_table, list[~at]->con_table);
    return same(f->table, list[at]->table);
}

/* The name that a row has there; or none. */
static const char *const *name_of(const struct facility_row *row, place at)
{
    return at < 0 ? &row->method : &row->name;
}

/* Calls `visit` for each row that is there, until it returns true. Whether one did. */
static bool visit_rows(lua_State *L, const struct facility *const *list, place at,
                       bool (*visit)(lua_State *L, const struct facility *f,
                                     const struct facility_row *row, place at))
{
    for (size_t i = 0; list[i] != NULL; i++)
        if (is_in(list[i], list, at))
            for (const struct facility_row *row = list[i]->rows; row->function != NULL;
                 row++)
                if (*name_of(row, at) != NULL && visit(L, list[i], row, at))
                    return true;
    return false;
}

/* -- Making -- */

static void push_function(lua_State *L, const struct facility *f,
                          const struct facility_row *row, place at)
{
    lua_CFunction method = f->con_table == NULL ? call_con_method : call_table_method;
    lua_pushlightuserdata(L, (void *)row);
    lua_pushcclosure(L, at < 0 ? method : call_function, 1);
}

/* The upvalues of the functions below: the metatable, the list, and the library's next.
 */
enum { META = 1, LIST, NEXT };

static const struct facility *const *list_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(LIST));
}

/* Whether this is the first time that the place of `name` is asked for it. */
static bool is_first(lua_State *L, const void *name)
{
    bool first = lua_rawgetp(L, lua_upvalueindex(META), name) == LUA_TNIL;
    lua_pop(L, 1);
    if (first) {
        lua_pushboolean(L, 1);
        lua_rawsetp(L, lua_upvalueindex(META), name);
    }
    return first;
}

/* (table, key): whether this is a row that the table has not had. Pushes its function. */
static bool find_row(lua_State *L, const struct facility *f,
                     const struct facility_row *row, place at)
{
    const char *const *name = name_of(row, at);
    size_t len;
    const char *key = lua_tolstring(L, 2, &len);
    if (strlen(*name) != len || memcmp(*name, key, len) != 0 || !is_first(L, name))
        return false;
    push_function(L, f, row, at);
    return true;
}

/* (table, ...): puts a function there, unless it was there before. */
static bool put_row(lua_State *L, const struct facility *f,
                    const struct facility_row *row, place at)
{
    const char *const *name = name_of(row, at);
    if (is_first(L, name)) {
        lua_pushstring(L, *name);
        push_function(L, f, row, at);
        lua_rawset(L, 1);
    }
    return false;
}

/* (table, ...): the values that are no functions. */
static void put_values(lua_State *L, const struct facility *const *list, place at)
{
    for (size_t i = 0; at >= 0 && list[i] != NULL; i++)
        if (list[i]->fill != NULL && is_in(list[i], list, at) && is_first(L, list[i])) {
            lua_pushvalue(L, 1);
            list[i]->fill(L);
            lua_pop(L, 1);
        }
}

/* Which place the table at index 1 is. A script can call these functions with any
 * other. */
static bool find_place(lua_State *L, place *at)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushvalue(L, 1);
    bool found = lua_rawget(L, lua_upvalueindex(META)) == LUA_TNUMBER;
    *at = lua_tointeger(L, -1);
    lua_pop(L, 1);
    return found;
}

/* -- The metatable -- */

/* __index: (table, key). */
static int find(lua_State *L)
{
    place at;
    lua_settop(L, 2);
    if (!find_place(L, &at))
        return 0;
    if (lua_type(L, 2) == LUA_TSTRING && visit_rows(L, list_of(L), at, find_row)) {
        lua_pushvalue(L, 2);
        lua_pushvalue(L, -2);
        lua_rawset(L, 1);
        return 1;
    }
    put_values(L, list_of(L), at);
    lua_settop(L, 2);
    lua_rawget(L, 1);
    return 1;
}

/* __newindex: (table, key, value). What the table would have had does not come back when
 * the script removes its own. */
static int assign(lua_State *L)
{
    place at;
    lua_settop(L, 3);
    if (find_place(L, &at)) {
        if (lua_type(L, 2) == LUA_TSTRING)
            visit_rows(L, list_of(L), at, find_row);
        put_values(L, list_of(L), at);
        lua_settop(L, 3);
    }
    lua_rawset(L, 1);
    return 0;
}

/* GUARD_REVEAL: (table). From then on it is a table like any other. */
static int reveal(lua_State *L)
{
    place at;
    lua_settop(L, 1);
    if (!find_place(L, &at))
        return 0;
    visit_rows(L, list_of(L), at, put_row);
    put_values(L, list_of(L), at);
    lua_pushnil(L);
    lua_setmetatable(L, 1);
    return 0;
}

/* __pairs: (table). */
static int each(lua_State *L)
{
    reveal(L);
    lua_pushvalue(L, lua_upvalueindex(NEXT));
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* Pushes the metatable. */
static void push_metatable(lua_State *L, const struct facility *const *list)
{
    static const luaL_Reg functions[] = {{"__index", find},
                                         {"__newindex", assign},
                                         {GUARD_REVEAL, reveal},
                                         {"__pairs", each},
                                         {NULL, NULL}};
    lua_createtable(L, 0, 16);
    lua_pushvalue(L, -1);
    lua_pushlightuserdata(L, (void *)list);
    lua_getglobal(L, "next");
    luaL_setfuncs(L, functions, NEXT);
}

/* -- Opening -- */

/* Replaces the table on top by its field `name`, a table that is made if need be. */
static void enter(lua_State *L, const char *name)
{
    if (name == NULL)
        return;
    luaL_getsubtable(L, -1, name);
    lua_remove(L, -2);
}

/* Pops a table, which is filled from now on when it is looked into. One that another list
 * fills is filled by that first. */
static void make_lazy(lua_State *L, int meta, place at)
{
    lua_pushvalue(L, -1);
    if (lua_rawget(L, meta) == LUA_TNIL) {
        lua_pushvalue(L, -2);
        lua_pushinteger(L, at);
        lua_rawset(L, meta);
        if (luaL_callmeta(L, -2, GUARD_REVEAL))
            lua_pop(L, 1);
        lua_pushvalue(L, -2);
        lua_pushvalue(L, meta);
        guard_set_hidden_metatable(L);
        lua_pop(L, 1);
    }
    lua_pop(L, 2);
}

/* Sets the globals of a facility. */
static void set_globals(lua_State *L, const struct facility *f)
{
    for (const struct facility_row *row = f->rows; row->function != NULL; row++)
        if (row->name != NULL) {
            push_function(L, f, row, 0);
            lua_setglobal(L, row->name);
        }
}

static void open_places(lua_State *L, const struct facility *const *list, int meta,
                        place at)
{
    const struct facility *f = list[at];
    if (f->table == NULL) {
        set_globals(L, f);
    } else {
        lua_pushglobaltable(L);
        enter(L, f->table);
        make_lazy(L, meta, at);
    }
    con_push_methods(L);
    enter(L, f->con_table);
    make_lazy(L, meta, ~at);
}

void facility_open(lua_State *L, const struct facility *const *list,
                   const struct config *config)
{
    push_metatable(L, list);
    int meta = lua_gettop(L);
    for (place at = 0; list[at] != NULL; at++) {
        open_places(L, list, meta, at);
        if (list[at]->open != NULL)
            list[at]->open(L, config);
    }
    lua_settop(L, meta - 1);
}
