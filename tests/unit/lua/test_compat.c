/* Names of Lua 5.1. */
#include "lua/compat.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void the_names_do_what_they_did(void **state)
{
    (void)state;
    check("is(select('#', unpack({1, 2, 3})), 3) is(unpack({1, 2}, 2), 2) "
          "is(loadstring('return 1 + 1')(), 2) "
          "local f, why = loadstring('x = = 1', '=name') is(f, nil) "
          "assert(why:find('^name:1:')) "
          "is(table.getn({1, 2, 3}), 3) "
          "is(table.maxn({1, 2, [10] = 1, x = 1}), 10) is(table.maxn({}), 0) "
          "is(table.maxn({[1.5] = 1, [-3] = 1}), 1.5) "
          "local t = {} for w in string.gfind('a b', '%a') do t[#t + 1] = w end "
          "is(table.concat(t), 'ab') is(('x'):gfind('x')(), 'x')");
}

static void wrong_arguments_are_errors(void **state)
{
    (void)state;
    assert_page_fails("table.getn('x')", "bad argument #1 to 'getn'");
    assert_page_fails("table.maxn()", "bad argument #1 to 'maxn'");
}

static void an_error_about_another_name_says_where_it_is(void **state)
{
    (void)state;
    assert_page_fails("setfenv(1, {})", "(global 'setfenv'): it is in lua51.lua");
    assert_page_fails("getfenv()", "(global 'getfenv'): it is in lua51.lua");
    assert_page_fails("module('x')", "(global 'module'): it is in lua51.lua");
    assert_page_fails("package.seeall({})",
                      "(field 'seeall'): package.seeall is in lua51.lua");
    assert_page_fails("table.foreach({}, print)",
                      "(field 'foreach'): table.foreach is in lua51.lua");
    assert_page_fails("table.foreachi({}, print)",
                      "(field 'foreachi'): table.foreachi is in lua51.lua");
    assert_page_fails("math.mod(5, 3)", "(field 'mod'): math.mod is in lua51.lua");
    assert_page_fails("local n = #package.loaders",
                      "(field 'loaders'): package.loaders is in lua51.lua");
    assert_page_fails("gcinfo()", "(global 'gcinfo'): it is in lua51.lua");
    assert_null(compat_hint("attempt to call a nil value (global 'other')"));
    assert_null(compat_hint("attempt to call a nil value (local 'setfenv')"));
    assert_null(compat_hint(""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_names_do_what_they_did),
        TEST(wrong_arguments_are_errors),
        TEST(an_error_about_another_name_says_where_it_is),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
