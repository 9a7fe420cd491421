/* Refusals of what clients send. Runs in the thread that owns the state. The registry of
 * a state holds the text and the status of its last refusal. An error value that equals
 * the text is that refusal. */
#include "lua/refusal.h"

#include <lauxlib.h>
#include <stdarg.h>

static const char text, status; /* their addresses are the keys in the registry */

int refusal_raise(lua_State *L, int code, const char *format, ...)
{
    lua_pushinteger(L, code);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &status);
    va_list args;
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &text);
    return lua_error(L);
}

int refusal_status(lua_State *L, int index)
{
    int value = lua_absindex(L, index), code = 0;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &text);
    if (lua_isstring(L, -1) && lua_rawequal(L, -1, value)) {
        lua_rawgetp(L, LUA_REGISTRYINDEX, &status);
        code = (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return code;
}
