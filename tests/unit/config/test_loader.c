/* What is known of one load: names, rows, and texts that Lua owns. */
#include "config/loader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <lauxlib.h>

static void rows_know_their_place(void **state)
{
    (void)state;
    struct config config;
    for (size_t i = 0; i < option_count; i++) {
        assert_int_equal(loader_row(&option_rows[i]), i);
        assert_ptr_equal(loader_field(&config, &option_rows[i]),
                         (char *)&config + option_rows[i].offset);
    }
}

static void an_option_is_called_as_the_file_called_it(void **state)
{
    (void)state;
    struct loader l = {0};
    const struct option_row *o = option_named("WorkerThreads");
    assert_false(loader_is_set(&l, "WorkerThreads"));
    assert_string_equal(loader_name(&l, o), "WorkerThreads");
    l.set_as[loader_row(o)] = "workers";
    assert_true(loader_is_set(&l, "WorkerThreads"));
    assert_string_equal(loader_name(&l, o), "workers");
    assert_string_equal(loader_called(&l, "WorkerThreads"), "workers");
    assert_string_equal(loader_called(&l, "Listen"), "Listen");
}

static void an_option_is_good_until_a_mistake_was_reported(void **state)
{
    (void)state;
    struct loader l = {0};
    assert_true(loader_is_good(&l, "Backlog"));
    l.bad[loader_row(option_named("Backlog"))] = true;
    assert_false(loader_is_good(&l, "Backlog"));
    assert_true(loader_is_good(&l, "Listen"));
}

static void only_strings_without_a_nul_are_texts(void **state)
{
    (void)state;
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    lua_pushliteral(L, "text");
    lua_pushlstring(L, "te\0xt", 5);
    lua_pushinteger(L, 7);
    lua_pushnil(L);
    assert_string_equal(loader_text_at(L, 1), "text");
    for (int i = 2; i <= 5; i++)
        assert_null(loader_text_at(L, i));
    assert_int_equal(lua_type(L, 3), LUA_TNUMBER); /* it did not become a string */
    lua_close(L);
}

static int need_nothing(lua_State *L)
{
    loader_need(L, NULL);
    return 0;
}

static void missing_memory_is_an_error_of_lua(void **state)
{
    (void)state;
    int x;
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    assert_ptr_equal(loader_need(L, &x), &x);
    lua_pushcfunction(L, need_nothing);
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_ERRRUN);
    assert_string_equal(lua_tostring(L, -1), "out of memory");
    lua_close(L);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_know_their_place),
        cmocka_unit_test(an_option_is_called_as_the_file_called_it),
        cmocka_unit_test(an_option_is_good_until_a_mistake_was_reported),
        cmocka_unit_test(only_strings_without_a_nul_are_texts),
        cmocka_unit_test(missing_memory_is_an_error_of_lua),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
