/* Lua's switch of hooks: it is found in this build of Lua, and when it is on hooks are
 * called in a finalizer. */
#include "lua/hookswitch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>

static int hooked;

static void count(lua_State *L, lua_Debug *ar)
{
    (void)L;
    (void)ar;
    hooked++;
}

static int switch_on(lua_State *L)
{
    hookswitch_on(L);
    return 0;
}

/* Returns how many hooks are called in a finalizer that runs `code`. */
static int hooks_in_finalizer(const char *code)
{
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    lua_register(L, "on", switch_on);
    lua_pushfstring(L,
                    "setmetatable({}, {__gc = function() %s end}) collectgarbage() "
                    "return 1",
                    code);
    assert_int_equal(luaL_loadstring(L, lua_tostring(L, -1)), LUA_OK);
    lua_sethook(L, count, LUA_MASKCALL, 0);
    assert_int_equal(lua_pcall(L, 0, 0, 0), LUA_OK);
    int before = hooked;
    lua_sethook(L, NULL, 0, 0);
    lua_close(L);
    hooked = 0;
    return before;
}

static void test_switch_is_found_and_turns_hooks_on_in_a_finalizer(void **unused)
{
    (void)unused;
    const char *calls = "on() math.abs(1) math.abs(1) math.abs(1)";
    int without = hooks_in_finalizer(calls); /* not found yet: nothing is turned on */
    assert_true(hookswitch_find());
    assert_int_equal(hooks_in_finalizer(calls), without + 3);
}

static void test_lua_turns_it_back_by_itself(void **unused)
{
    (void)unused;
    assert_true(hookswitch_find());
    assert_int_equal(hooks_in_finalizer("on()"), hooks_in_finalizer(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch_is_found_and_turns_hooks_on_in_a_finalizer),
        cmocka_unit_test(test_lua_turns_it_back_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
