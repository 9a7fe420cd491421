/* What the tests of replaced library functions share: a state with the standard library,
 * some of whose functions are ours, and its limit. To be included after cmocka.h. */
#ifndef LIBRARY_FIXTURE_H
#define LIBRARY_FIXTURE_H

#include "lua/limit.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static struct limit limit;

/* A state in which the Lua code `keep` ran before `replace`: it keeps the library's own
 * functions. limit_close(&limit, NULL) ends it. */
static inline lua_State *library_open(const char *keep, void (*replace)(lua_State *))
{
    limit = (struct limit){0};
    lua_State *L = limit_newstate(&limit);
    assert_non_null(L);
    luaL_openlibs(L);
    assert_false(luaL_dostring(L, keep));
    replace(L);
    return L;
}

/* A limit that is broken, without a hook, as while C code runs, ends the code. */
static inline void library_assert_ends(lua_State *L, const char *code)
{
    assert_int_equal(luaL_loadstring(L, code), LUA_OK);
    limit.kind = LIMIT_TIME;
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
    assert_non_null(strstr(lua_tostring(L, -1), limit_message(LIMIT_TIME)));
    limit.kind = LIMIT_NONE;
    limit_close(&limit, NULL);
}

#endif
