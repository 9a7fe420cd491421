/* The option Config: what scripts get, and what cannot be given to them. */
#include "base/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "tests/unit/config_fixture.h"

static void test_functions_in_config_are_left_out(void **state)
{
    (void)state;
    struct config *c =
        load_good("Config = { a = 1, f = print, list = { 1, print, { g = load } },\n"
                  "  [print] = 2, deep = { [load] = { print }, h = 'x' } }");
    static const char *const warnings[] = {
        "Config.f: a function cannot be given to scripts; it is left out\n",
        "Config.list[2]: a function cannot be given",
        "Config.list[3].g: a function cannot be given",
        "Config: a function as a key cannot be given",
        "Config.deep: a function as a key cannot be given",
    };
    for (size_t i = 0; i < sizeof warnings / sizeof warnings[0]; i++)
        if (strstr(logged, warnings[i]) == NULL)
            fail_msg("%s is missing in %s", warnings[i], logged);
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    assert_true(value_push(L, c->app, c->app_len));
    lua_setglobal(L, "C");
    if (luaL_dostring(L, "assert(C.a == 1 and C.f == nil and C.deep.h == 'x')\n"
                         "assert(C.list[1] == 1 and not C.list[2] and C.list[3])\n"
                         "assert(not next(C.list[3]) and next(C.deep, 'h') == nil)\n"))
        fail_msg("%s", lua_tostring(L, -1));
    lua_close(L);
    config_unref(c);
}

static void test_config_is_copied_deeply(void **state)
{
    (void)state;
    struct config *c =
        load_good("Config = { n = 5, f = 5.0, b = false, s = 'a\\0b', [2] = 'two',\n"
                  "  list = { 1, 2, { deep = 'x' } }, [1.5] = true }");
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    assert_true(value_push(L, c->app, c->app_len));
    lua_setglobal(L, "C");
    if (luaL_dostring(L, "assert(math.type(C.n) == 'integer' and C.n == 5)\n"
                         "assert(math.type(C.f) == 'float' and C.f == 5)\n"
                         "assert(C.b == false and C.s == 'a\\0b' and C[2] == 'two')\n"
                         "assert(#C.list == 3 and C.list[3].deep == 'x' and C[1.5])\n"))
        fail_msg("%s", lua_tostring(L, -1));
    lua_close(L);
    config_unref(c);
}

static void test_what_config_cannot_hold_is_named_with_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"Config = { [1] = { ['a b'] = coroutine.create(print) } }",
         "Config[1][\"a b\"]: a coroutine cannot be given to scripts"},
        {"Config = { [1.5] = { [true] = io.stdout } }",
         "Config[1.5][true]: a userdata cannot be given to scripts"},
        {"Config = { x = { [{}] = 1 } }",
         "Config.x: a table as a key cannot be given to scripts"},
        {"Config = { a = {} } Config.a.b = Config",
         "Config.a.b: a table that contains itself cannot be given to scripts"},
        {"Config = { x = ('x'):rep(16 * 1024 * 1024) }",
         "Config: a value of more than 16 MiB cannot be given to scripts"},
        {"Config = {} local t = Config for i = 1, 100 do t.a = {} t = t.a end", NULL},
    };
    for (size_t i = 0; i + 1 < sizeof rows / sizeof rows[0]; i++)
        assert_mistake(rows[i].text, rows[i].message);
    assert_null(load(rows[5].text));
    assert_non_null(strstr(errors, ".a.a.a: nested too deep to be given to scripts\n"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_functions_in_config_are_left_out),
        TEST(test_config_is_copied_deeply),
        TEST(test_what_config_cannot_hold_is_named_with_its_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
