/* table.move. It runs in the thread that owns the state, and keeps nothing. */
#include "lua/tables.h"

#include "lua/guard.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>

#define PIECE 10000 /* elements that are moved between two looks at the limits */

/* Moves the elements from `first` to `last` by the library's own function. */
static void move_piece(lua_State *L, lua_Integer first, lua_Integer last,
                       lua_Integer distance)
{
    lua_pushcfunction(L, lua_tocfunction(L, lua_upvalueindex(1)));
    lua_pushvalue(L, 1);
    lua_pushinteger(L, first);
    lua_pushinteger(L, last);
    lua_pushinteger(L, first + distance);
    lua_pushvalue(L, 5);
    lua_call(L, 5, 0);
    guard_check(L, GUARD_OF_HOOKS)(L);
}

/* Whether the elements must be moved from the last to the first: those in front would
 * overwrite others that are still to be moved. */
static bool is_backward(lua_State *L, lua_Integer first, lua_Integer last, lua_Integer to)
{
    return to > first && to <= last && lua_compare(L, 1, 5, LUA_OPEQ);
}

static int table_move(lua_State *L)
{
    lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3);
    lua_Integer to = luaL_checkinteger(L, 4);
    if (last < first || (lua_Unsigned)last - (lua_Unsigned)first < PIECE)
        return guard_original(L);
    luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3,
                  "too many elements to move");
    luaL_argcheck(L, to <= LUA_MAXINTEGER - (last - first), 4, "destination wrap around");
    lua_settop(L, 5);
    if (lua_isnil(L, 5)) {
        lua_pushvalue(L, 1);
        lua_replace(L, 5);
    }
    bool backward = is_backward(L, first, last, to);
    lua_Integer count = last - first + 1, size;
    for (lua_Integer done = 0; done < count; done += size) {
        size = count - done < PIECE ? count - done : PIECE;
        lua_Integer start = backward ? last - done - size + 1 : first + done;
        move_piece(L, start, start + size - 1, to - first);
    }
    return 1;
}

static const struct guard_row rows[] = {
    {LUA_TABLIBNAME, "move", table_move},
    {0},
};

void tables_open(lua_State *L)
{
    guard_replace_all(L, rows);
}

void tables_open_for_hooks(lua_State *L)
{
    guard_replace_all_for_hooks(L, rows);
}
