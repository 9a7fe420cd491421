/* Receive and con:gets read the body of the request. They run in the thread that owns the
 * state, and block while the body arrives, as request_read says. */
#include "lua/body_api.h"

#include "lua/call.h"
#include "lua/refusal.h"

#include <lauxlib.h>
#include <stdint.h>

/* Pushes the body, or at most `max` bytes of it. */
static void push_body(lua_State *L, struct request *r, size_t max)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t want = LUAL_BUFFERSIZE, total = 0;
    int64_t left = request_body_left(r);
    if (left > 0 && left < 1 << 30)
        want = (size_t)left;
    while (total < max) {
        size_t step = max - total < want ? max - total : want;
        size_t got = request_read(r, luaL_prepbuffsize(&b, step), step);
        if (got == 0)
            break;
        luaL_addsize(&b, got);
        total += got;
        want = want > got ? want - got : LUAL_BUFFERSIZE;
    }
    luaL_pushresult(&b);
    if (request_body_too_large(r))
        luaL_error(L, "%s", request_too_large_text(r));
    if (request_body_failed(r))
        refusal_raise(L, 400, "the body did not arrive whole");
}

/* Whether the argument asks for all that is left: "a" or "*a", as for io.read, or none.
 */
static bool is_all(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TSTRING)
        return lua_isnoneornil(L, index);
    const char *format = lua_tostring(L, index);
    return *(format + (*format == '*')) == 'a';
}

static int receive(lua_State *L, int first)
{
    lua_Integer max = is_all(L, first) ? LUA_MAXINTEGER : luaL_checkinteger(L, first);
    luaL_argcheck(L, max >= 0, first, "a number of bytes expected");
    size_t bound = (lua_Unsigned)max > SIZE_MAX ? SIZE_MAX : (size_t)max;
    push_body(L, call_of(L)->request, bound);
    return 1;
}

/* As luafcgid: reads all whatever the argument is, unless it is a number, and gives nil
 * at the end. */
static int gets(lua_State *L, int first)
{
    if (!lua_isnumber(L, first))
        lua_settop(L, first - 1);
    bool none_wanted = lua_isinteger(L, first) && lua_tointeger(L, first) == 0;
    receive(L, first);
    if (lua_rawlen(L, -1) == 0 && !none_wanted)
        lua_pushnil(L);
    return 1;
}

static const struct facility_row rows[] = {
    {"Receive", NULL, receive},
    {NULL, "gets", gets},
    {0},
};

const struct facility body_api = {.rows = rows};
