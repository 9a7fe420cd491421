/* Receive and con:gets read the body of the request, and wait while it arrives (pace.h).
 * They run in the thread that owns the state. What has come is in a buffer that survives
 * the wait. */
#include "lua/body_api.h"

#include "lua/call.h"
#include "lua/limit.h"
#include "lua/pace.h"
#include "lua/refusal.h"
#include "lua/scratch.h"

#include <lauxlib.h>
#include <stdint.h>

static int finish(lua_State *L, bool gives_nil)
{
    struct request *r = call_of(L)->request;
    struct buffer *b = lua_touserdata(L, -1);
    size_t len = b->len;
    scratch_finish(L, -1);
    if (request_body_too_large(r))
        luaL_error(L, "%s", request_too_large_text(r));
    if (request_body_failed(r))
        refusal_raise(L, 400, "the body did not arrive whole");
    if (len == 0 && gives_nil)
        lua_pushnil(L);
    return 1;
}

/* Room for the next read: for all that is left, if that is known. */
static size_t make_room(lua_State *L, struct buffer *b, size_t max)
{
    int64_t left = request_body_left(call_of(L)->request);
    size_t want = left > 0 && left < 1 << 30 ? (size_t)left : LUAL_BUFFERSIZE;
    if (want > max - b->len)
        want = max - b->len;
    limit_check_memory(L, buffer_reserve(b, want));
    return want;
}

/* The bound and the buffer are on top of the stack. Once this thread has waited itself it
 * goes on so: it would come here again for each piece, from inside the one before. */
static int read_on(lua_State *L, int status, lua_KContext gives_nil)
{
    struct request *r = call_of(L)->request;
    size_t max = (uintptr_t)lua_touserdata(L, -2);
    struct buffer *b = lua_touserdata(L, -1);
    bool later = status == LUA_OK;
    while (b->len < max) {
        size_t room = make_room(L, b, max), got;
        if (later)
            got = request_read(r, b->data + b->len, room);
        else
            got = request_try_read(r, b->data + b->len, room, &later);
        if (got == 0 && later && status != LUA_OK)
            return pace_await_body(L, gives_nil, read_on);
        if (got == 0)
            break;
        b->len += got;
        later = status == LUA_OK;
        limit_check(L);
    }
    return finish(L, gives_nil != 0);
}

/* Pushes the body, or at most `max` bytes of it; nil instead of nothing, if asked. */
static int push_body(lua_State *L, size_t max, bool gives_nil)
{
    lua_pushlightuserdata(L, (void *)(uintptr_t)max);
    scratch_push(L);
    return read_on(L, LUA_YIELD, gives_nil);
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

static int read_body(lua_State *L, int first, bool gives_nil)
{
    lua_Integer max = is_all(L, first) ? LUA_MAXINTEGER : luaL_checkinteger(L, first);
    luaL_argcheck(L, max >= 0, first, "a number of bytes expected");
    size_t bound = (lua_Unsigned)max > SIZE_MAX ? SIZE_MAX : (size_t)max;
    return push_body(L, bound, gives_nil && max > 0);
}

static int receive(lua_State *L, int first)
{
    return read_body(L, first, false);
}

/* As luafcgid: reads all whatever the argument is, unless it is a number, and gives nil
 * at the end. */
static int gets(lua_State *L, int first)
{
    if (!lua_isnumber(L, first))
        lua_settop(L, first - 1);
    return read_body(L, first, true);
}

static const struct facility_row rows[] = {
    {"Receive", NULL, receive},
    {NULL, "gets", gets},
    {0},
};

const struct facility body_api = {.rows = rows};
