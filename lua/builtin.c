/* Modules in Lua that are part of the program. The Makefile turns each into a list of its
 * lines, which are constant. They are compiled and run in the thread that owns the state.
 */
#include "lua/builtin.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

static const char *const wsapi_lines[] = {
#include "lua/wsapi.inc"
    NULL};

static const char *const lua51_lines[] = {
#include "lua/lua51.inc"
    NULL};

static const char *next_line(lua_State *L, void *arg, size_t *size)
{
    (void)L;
    const char *const **next = arg;
    const char *line = **next;
    if (line == NULL)
        return NULL;
    ++*next;
    *size = strlen(line);
    return line;
}

/* Runs the text with the arguments that require gave, and returns what it returns. */
static int run(lua_State *L, const char *const *lines, const char *name)
{
    if (lua_load(L, next_line, &lines, name, "t") != LUA_OK)
        return lua_error(L);
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int open_wsapi(lua_State *L)
{
    return run(L, wsapi_lines, "=luafcgid2.wsapi");
}

static int open_lua51(lua_State *L)
{
    return run(L, lua51_lines, "=luafcgid2.lua51");
}

void builtin_open(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "_PRELOAD");
    lua_pushcfunction(L, open_wsapi);
    lua_setfield(L, -2, "luafcgid2.wsapi");
    lua_pushcfunction(L, open_lua51);
    lua_setfield(L, -2, "luafcgid2.lua51");
    lua_pop(L, 1);
}
