/* The standard library as scripts get it, put together. The functions run in the thread
 * that owns the state; what they keep is in the state (lua/state.h) or in upvalues. */
#include "lua/library.h"

#include "lua/child.h"
#include "lua/compat.h"
#include "lua/guard.h"
#include "lua/handle.h"
#include "lua/limit.h"
#include "lua/load.h"
#include "lua/output.h"
#include "lua/random.h"
#include "lua/strings.h"
#include "lua/tables.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

/* Ends the request, not the process. */
static int os_exit(lua_State *L)
{
    limit_break(limit_of(L), LIMIT_EXIT);
    return luaL_error(L, "%s", limit_message(LIMIT_EXIT));
}

/* Says which locale there is and changes nothing, as it is the whole process's. Asking
 * for the present one succeeds. */
static int os_setlocale(lua_State *L)
{
    const char *wanted = luaL_optstring(L, 1, NULL);
    lua_settop(L, 2);
    lua_pushvalue(L, 1); /* so that Lua keeps `wanted` */
    lua_pushnil(L);      /* nil asks which it is */
    lua_replace(L, 1);
    guard_original(L);
    if (wanted != NULL && lua_isstring(L, -1) && strcmp(wanted, lua_tostring(L, -1)) != 0)
        lua_pushnil(L);
    return 1;
}

/* The order matters: lua/handle.c hides the metatable of files, in which output and child
 * have replaced methods before, and lua/guard.c comes after all that replace functions,
 * which lua/compat.c gives second names. */
void library_open(lua_State *L)
{
    static const struct guard_row rows[] = {
        {LUA_OSLIBNAME, "exit", os_exit},
        {LUA_OSLIBNAME, "setlocale", os_setlocale},
        {0},
    };
    guard_replace_all(L, rows);
    output_open(L);
    load_open(L);
    child_open(L);
    handle_open(L);
    random_open(L);
    strings_open(L);
    tables_open(L);
    guard_open(L);
    compat_open(L);
}
