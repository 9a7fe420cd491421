/* Compiling source in pieces, as long as there is time. */
#include "lua/chunk.h"

#include "lua/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

static struct limit limit;

static lua_State *open_state(void)
{
    limit = (struct limit){0};
    lua_State *L = limit_newstate(&limit);
    assert_non_null(L);
    luaL_openlibs(L);
    return L;
}

/* Pieces may end in the middle of names and strings. */
static void test_text_of_many_pieces_is_compiled(void **unused)
{
    (void)unused;
    lua_State *L = open_state();
    for (int shift = 0; shift < 20; shift++) {
        luaL_Buffer b;
        luaL_buffinit(L, &b);
        for (int i = 0; i < shift; i++)
            luaL_addchar(&b, ' ');
        luaL_addstring(&b, "local number = 0 ");
        for (int i = 0; i < 2000; i++)
            luaL_addstring(&b, "number = number + 1 ");
        luaL_addstring(&b, "return number");
        luaL_pushresult(&b);
        size_t len;
        const char *text = lua_tolstring(L, -1, &len);
        assert_int_equal(chunk_load(L, text, len, "=text", "t"), LUA_OK);
        lua_call(L, 0, 1);
        assert_int_equal(lua_tointeger(L, -1), 2000);
        lua_settop(L, 0);
    }
    limit_close(&limit, NULL);
}

static int break_limit(lua_State *L)
{
    limit_break(&limit, LIMIT_TIME);
    lua_pushliteral(L, "x = 1 ");
    return 1;
}

static void test_broken_limit_ends_it(void **unused)
{
    (void)unused;
    lua_State *L = open_state();
    lua_pushcfunction(L, break_limit);
    lua_settop(L, 5);
    assert_int_equal(chunk_load_parts(L, "=parts", "t"), LUA_ERRRUN);
    assert_non_null(strstr(lua_tostring(L, -1), limit_message(LIMIT_TIME)));
    assert_int_equal(chunk_load(L, "x = 1", 5, "=text", "t"), LUA_ERRRUN);
    limit_close(&limit, NULL);
}

static void test_the_mode_says_what_is_loaded(void **unused)
{
    (void)unused;
    lua_State *L = open_state();
    assert_int_equal(chunk_load(L, LUA_SIGNATURE "x", 5, "=code", "t"), LUA_ERRSYNTAX);
    assert_non_null(strstr(lua_tostring(L, -1), "binary"));
    assert_int_equal(chunk_load(L, LUA_SIGNATURE "x", 5, "=code", "bt"), LUA_ERRSYNTAX);
    assert_non_null(strstr(lua_tostring(L, -1), "precompiled"));
    assert_int_equal(chunk_load(L, "x = 1", 5, "=text", ""), LUA_ERRSYNTAX);
    assert_int_equal(chunk_load(L, "x = 1", 5, "=text", "b"), LUA_ERRSYNTAX);
    assert_int_equal(chunk_load(L, "x = 1", 5, "=text", "bt"), LUA_OK);
    limit_close(&limit, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_of_many_pieces_is_compiled),
        cmocka_unit_test(test_broken_limit_ends_it),
        cmocka_unit_test(test_the_mode_says_what_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
