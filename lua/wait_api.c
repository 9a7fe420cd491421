/* What scripts call to wait, and to go on when the response is over. Runs in the thread
 * that owns the state; lua/wait.h says how a wait goes. */
#include "lua/wait_api.h"

#include "base/watch.h"
#include "lua/call.h"
#include "lua/wait.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>

/* -- Sleep -- */

static int slept(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    wait_came(L);
    return 0;
}

static int sleep_seconds(lua_State *L, int first)
{
    luaL_checknumber(L, first);
    struct awaited what = {.until = wait_until(L, first)};
    return wait_for(L, &what, 0, slept);
}

/* -- Wait -- */

/* Of a number, a file of the io library, or an object with the method getfd. */
static lua_Integer descriptor(lua_State *L, int index)
{
    const luaL_Stream *stream = luaL_testudata(L, index, LUA_FILEHANDLE);
    if (stream != NULL)
        return stream->closef == NULL ? -1 : fileno(stream->f);
    if (lua_type(L, index) == LUA_TNUMBER)
        return luaL_checkinteger(L, index);
    if ((!lua_isuserdata(L, index) && !lua_istable(L, index)) ||
        lua_getfield(L, index, "getfd") == LUA_TNIL)
        return luaL_argerror(L, index,
                             "a descriptor, a file, or an object with getfd expected");
    lua_pushvalue(L, index);
    lua_call(L, 1, 1);
    int is_integer;
    lua_Integer fd = lua_tointegerx(L, -1, &is_integer);
    lua_pop(L, 1);
    return is_integer ? fd : -1;
}

static int check_descriptor(lua_State *L, int index)
{
    lua_Integer fd = descriptor(L, index);
    bool open = fd >= 0 && fd <= INT_MAX && fcntl((int)fd, F_GETFD) >= 0;
    luaL_argcheck(L, open, index, "it has no open descriptor");
    return (int)fd;
}

static unsigned check_mode(lua_State *L, int index)
{
    static const char *const names[] = {"r", "w", "rw", NULL};
    static const unsigned modes[] = {AWAITED_READ, AWAITED_WRITE,
                                     AWAITED_READ | AWAITED_WRITE};
    return modes[luaL_checkoption(L, index, "r", names)];
}

static int push_timeout(lua_State *L)
{
    lua_pushnil(L);
    lua_pushliteral(L, "timeout");
    return 2;
}

static int waited(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    unsigned came = wait_came(L);
    if (came == 0)
        return push_timeout(L);
    lua_pushstring(L, came == AWAITED_READ ? "r" : came == AWAITED_WRITE ? "w" : "rw");
    return 1;
}

static int wait_descriptor(lua_State *L, int first)
{
    struct awaited what = {.what = check_mode(L, first + 1),
                           .until = wait_until(L, first + 2)};
    what.fd = check_descriptor(L, first);
    return wait_for(L, &what, 0, waited);
}

/* -- The rest of the request -- */

static int time_limit(lua_State *L, int first)
{
    lua_Number seconds = luaL_checknumber(L, first);
    luaL_argcheck(L, seconds > 0, first, "a number of seconds above 0 expected");
    int64_t most = request_config(call_of(L)->request)->request_timeout_max;
    lua_Number length = seconds * 1000;
    if (most > 0 && length > (lua_Number)most)
        length = (lua_Number)most;
    if (length > INT_MAX)
        length = INT_MAX;
    watch_begin(length < 1 ? 1 : (int64_t)length);
    lua_pushnumber(L, length / 1000);
    return 1;
}

static int finish(lua_State *L, int first)
{
    (void)first;
    struct call *call = call_of(L);
    if (call->operations != NULL)
        call->operations->finish(call->owner);
    lua_pushboolean(L, !request_is_gone(call->request));
    return 1;
}

static const struct facility_row rows[] = {
    {"Sleep", "sleep", sleep_seconds},
    {"Wait", "wait", wait_descriptor},
    {"TimeLimit", "timelimit", time_limit},
    {"Finish", "finish", finish},
    {0},
};

const struct facility wait_api = {.rows = rows};
