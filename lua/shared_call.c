/* What the functions of Shared are for scripts and for hooks alike: their arguments,
 * their results, and those that need nothing of their state. Runs in the thread that owns
 * the state; keeps nothing. */
#include "lua/shared_call.h"

#include <lauxlib.h>

#define SECONDS_MAX 1e9 /* longer is for ever */

/* -- Arguments -- */

struct bytes shared_call_text(lua_State *L, int index)
{
    struct bytes text;
    text.data = luaL_checklstring(L, index, &text.len);
    return text;
}

/* A value that may be nil, or missing at the end. */
static struct shared_value opt_value(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return (struct shared_value){.type = SHARED_NIL};
    case LUA_TBOOLEAN:
        return (struct shared_value){.type = SHARED_BOOLEAN,
                                     .boolean = lua_toboolean(L, index)};
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return (struct shared_value){.type = SHARED_INTEGER,
                                         .integer = lua_tointeger(L, index)};
        return (struct shared_value){.type = SHARED_FLOAT,
                                     .number = lua_tonumber(L, index)};
    case LUA_TSTRING:
        return (struct shared_value){.type = SHARED_STRING,
                                     .text = shared_call_text(L, index)};
    default:
        luaL_argerror(L, index, "a boolean, a number or a string expected");
        return (struct shared_value){.type = SHARED_NIL};
    }
}

static struct shared_value check_number(lua_State *L, int index, lua_Integer fallback)
{
    if (lua_isnoneornil(L, index))
        return (struct shared_value){.type = SHARED_INTEGER, .integer = fallback};
    if (lua_type(L, index) != LUA_TNUMBER)
        luaL_checknumber(L, index); /* raises, or takes a text */
    int is_integer;
    lua_Integer i = lua_tointegerx(L, index, &is_integer);
    if (is_integer && (lua_isinteger(L, index) || lua_type(L, index) == LUA_TSTRING))
        return (struct shared_value){.type = SHARED_INTEGER, .integer = i};
    return (struct shared_value){.type = SHARED_FLOAT, .number = lua_tonumber(L, index)};
}

/* The optional number of seconds in units of which a second has `units`; 0: for ever. */
int64_t shared_call_life(lua_State *L, int index, int64_t units)
{
    lua_Number seconds = luaL_optnumber(L, index, 0);
    luaL_argcheck(L, seconds >= 0, index, "a number of seconds expected");
    if (seconds == 0 || seconds > SECONDS_MAX)
        return 0;
    int64_t life = (int64_t)(seconds * (lua_Number)units);
    return life < 1 ? 1 : life;
}

/* -- Values -- */

/* Pushes whether it was stored. */
static int push_result(lua_State *L, enum shared_result result)
{
    if (result == SHARED_TOO_LARGE)
        return luaL_error(L, "the value is larger than SharedMaxSize");
    if (result == SHARED_NO_MEMORY)
        return luaL_error(L, "not enough memory");
    lua_pushboolean(L, result == SHARED_DONE);
    return 1;
}

void shared_call_push(lua_State *L, const struct shared_value *value)
{
    switch (value->type) {
    case SHARED_NIL:
        lua_pushnil(L);
        break;
    case SHARED_BOOLEAN:
        lua_pushboolean(L, value->boolean);
        break;
    case SHARED_INTEGER:
        lua_pushinteger(L, value->integer);
        break;
    case SHARED_FLOAT:
        lua_pushnumber(L, value->number);
        break;
    case SHARED_STRING:
        lua_pushlstring(L, value->text.data, value->text.len);
        break;
    }
}

int shared_call_set(lua_State *L, int first, int64_t max)
{
    struct bytes key = shared_call_text(L, first);
    struct shared_value value = opt_value(L, first + 1);
    struct shared_terms terms = {shared_call_life(L, first + 2, 1000), max};
    return push_result(L, shared_set(key, &value, terms));
}

int shared_call_add(lua_State *L, int first, int64_t max)
{
    struct bytes key = shared_call_text(L, first);
    luaL_argcheck(L, !lua_isnoneornil(L, first + 1), first + 1,
                  "a boolean, a number or a string expected");
    struct shared_value value = opt_value(L, first + 1);
    struct shared_terms terms = {shared_call_life(L, first + 2, 1000), max};
    return push_result(L, shared_add(key, &value, terms));
}

int shared_call_swap(lua_State *L, int first, int64_t max)
{
    struct bytes key = shared_call_text(L, first);
    struct shared_value old = opt_value(L, first + 1), value = opt_value(L, first + 2);
    struct shared_terms terms = {0, max};
    return push_result(L, shared_swap(key, &old, &value, terms));
}

int shared_call_increase(lua_State *L, int first, int64_t max)
{
    struct bytes key = shared_call_text(L, first);
    struct shared_value by = check_number(L, first + 1, 1);
    struct shared_value init = check_number(L, first + 2, 0), sum;
    struct shared_terms terms = {0, max};
    enum shared_result result = shared_increase(key, &by, &init, terms, &sum);
    if (result == SHARED_NO_NUMBER)
        return luaL_error(L, "the value of '%s' is no number", key.data);
    push_result(L, result);
    shared_call_push(L, &sum);
    return 1;
}

int shared_call_delete(lua_State *L, int first)
{
    lua_pushboolean(L, shared_delete(shared_call_text(L, first)));
    return 1;
}
