/* What keeps a script under its limits: the guarded functions work as ever. */
#include "lua/guard.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void an_error_handler_and_coroutines_work_as_ever(void **state)
{
    (void)state;
    check("local ok, what = xpcall(function() error('a', 0) end, function(m) return m .. "
          "'b' "
          "end) assert(not ok and what == 'ab') "
          "assert(select('#', xpcall(function(...) return ... end, print, 1, nil, nil)) "
          "== 4) "
          "local co = coroutine.create(function(a) local b = coroutine.yield(a + 1) "
          "error('end ' .. b, 0) end) "
          "local _, got = coroutine.resume(co, 1) assert(got == 2) "
          "ok, what = coroutine.resume(co, 'x') assert(not ok and what == 'end x') "
          "assert(coroutine.status(co) == 'dead') "
          "local t = {} for i in coroutine.wrap(function() for i = 1, 3 do "
          "coroutine.yield(i) end end) do t[#t + 1] = i end assert(#t == 3) "
          "assert(not coroutine.isyieldable())");
}

static void finalizers_run_when_garbage_is_collected(void **state)
{
    (void)state;
    check("local n = 0 for i = 1, 5 do setmetatable({}, {__gc = function() n = n + 1 "
          "end}) end "
          "collectgarbage() collectgarbage() assert(n == 5, n)");
}

/* Each must end by the limit that is broken, and not go on after it. */
static void nothing_catches_the_error_of_a_broken_limit(void **state)
{
    (void)state;
    static const char *const catchers[] = {
        "pcall(fill)",
        "xpcall(fill, print)",
        "xpcall(fill, fill)",
        "coroutine.resume(coroutine.create(fill))",
        "pcall(coroutine.wrap(fill))",
        "setmetatable({}, {__gc = fill}) collectgarbage()",
        "debug.sethook(fill, '', 1) local x = 1 + 1",
    };
    config->script_memory_limit = 2 << 20;
    for (size_t i = 0; i < sizeof catchers / sizeof *catchers; i++) {
        char text[256];
        struct script *s =
            script("function fill() local t = {} while true do t[#t + 1] = {} end end");
        snprintf(text, sizeof text, "%s after = true", catchers[i]);
        assert_raises(s, text, "memory limit exceeded");
        assert_false(state_is_usable(s));
        script_close(s);
    }
}

static void coroutines_say_what_is_wrong(void **state)
{
    (void)state;
    check("local co = coroutine.create(function() end) coroutine.resume(co) "
          "local ok, why = coroutine.resume(co) "
          "is(ok, false) is(why, 'cannot resume dead coroutine') "
          "local f = coroutine.wrap(function() error('inside') end) ok, why = pcall(f) "
          "assert(not ok and why:find('inside$'), why) "
          "ok, why = pcall(coroutine.wrap(function() error({}) end)) is(type(why), "
          "'table') assert(not pcall(coroutine.resume, 1) and not pcall(coroutine.wrap, "
          "1))");
}

static void what_a_pcall_yields_and_returns_comes_through(void **state)
{
    (void)state;
    check(
        "local co = coroutine.wrap(function() "
        "return select('#', pcall(function() coroutine.yield(1) return nil, 2 end)) end) "
        "is(co(), 1) is(co(), 3)");
}

static void the_metatable_of_globals_is_hidden(void **state)
{
    (void)state;
    check("is(getmetatable(_G), nil) is(debug.getmetatable(_G), nil) "
          "local own = {} assert(setmetatable(_G, own) == _G) assert(getmetatable(_G) == "
          "own)");
}

static void variables_of_c_functions_are_out_of_reach(void **state)
{
    (void)state;
    check("is(debug.getupvalue(os.exit, 1), nil) "
          "assert(not pcall(debug.setupvalue, os.exit, 1, nil)) "
          "local x = 1 local function f() return x end "
          "is(debug.getupvalue(f, 1), 'x') debug.setupvalue(f, 1, 5) is(f(), 5) "
          "is(debug.getregistry, nil) is(debug.getuservalue(io.stdout), nil) "
          "assert(not pcall(debug.setuservalue, io.stdout, {})) "
          "assert(not pcall(debug.setmetatable, io.stdout, {}))");
    check(
        "local a = 7 local name, value = debug.getlocal(1, 1) is(name, 'a') is(value, 7) "
        "debug.setlocal(1, 1, 8) is(a, 8) "
        "assert(not pcall(debug.getlocal, 99, 1)) "
        "is(debug.getlocal(function(p, q) end, 2), 'q')");
}

static void a_finalizer_that_is_set_late_is_guarded_too(void **state)
{
    (void)state;
    config->script_memory_limit = 2 << 20;
    struct script *s =
        script("function fill() local t = {} while true do t[#t + 1] = {} end end "
               "local m = {__gc = true} kept = setmetatable({}, m) m.__gc = fill");
    script_close(s); /* ends */
}

static void what_replaces_a_function_can_call_it(void **state)
{
    (void)state;
    check("is(select('#', getmetatable('')), 1) is(getmetatable('').__index, string) "
          "is(select(2, pcall(select, -1, 'a', 'b')), 'b') "
          "local t = setmetatable({}, {__metatable = 'locked'}) is(getmetatable(t), "
          "'locked') assert(not pcall(setmetatable, t, {}))");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_error_handler_and_coroutines_work_as_ever),
        TEST(finalizers_run_when_garbage_is_collected),
        TEST(nothing_catches_the_error_of_a_broken_limit),
        TEST(coroutines_say_what_is_wrong),
        TEST(what_a_pcall_yields_and_returns_comes_through),
        TEST(the_metatable_of_globals_is_hidden),
        TEST(variables_of_c_functions_are_out_of_reach),
        TEST(a_finalizer_that_is_set_late_is_guarded_too),
        TEST(what_replaces_a_function_can_call_it),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
