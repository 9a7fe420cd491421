/* Modules that are part of the program: luafcgid2.wsapi and luafcgid2.lua51. */
#include "lua/builtin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void lua51_brings_its_names(void **state)
{
    (void)state;
    check("assert(setfenv == nil) require 'luafcgid2.lua51' "
          "local function f() return x end setfenv(f, {x = 5}) is(f(), 5) "
          "module('m.n', package.seeall) y = 1 _G.is(_G.m.n.y, 1)");
}

static void wsapi_finds_modules_of_lua_5_1(void **state)
{
    (void)state;
    check(
        "package.path = '/a/share/lua/5.3/?.lua;/b/?.lua;/c/share/lua/5.3/?/init.lua' "
        "require 'luafcgid2.wsapi' "
        "is(package.path, '/a/share/lua/5.3/?.lua;/b/?.lua;/c/share/lua/5.3/?/init.lua;' "
        ".. '/a/share/lua/5.1/?.lua;/c/share/lua/5.1/?/init.lua') "
        "assert(setfenv and module)");
}

/* A script of an application whose function run has this body. */
static struct script *application(const char *body)
{
    char text[2048];
    assert_true(snprintf(text, sizeof text,
                         "main = require 'luafcgid2.wsapi'(function(env) %s end)",
                         body) < (int)sizeof text);
    return script(text);
}

static void an_application_answers(void **state)
{
    (void)state;
    struct script *s = application(
        "local list = {env.PATH_INFO, '|', env.NOTHING, '|', env.A, 5} local i = 0 "
        "return 200, {['Content-Length'] = #table.concat(list)}, function() i = i + 1 "
        "return list[i] end");
    assert_string_equal(serve(s, "A=x"), "/||x5");
    assert_string_equal(serve(s, "A=y", "PATH_INFO=/p"), "/p||y5");
    script_close(s);
}

static void its_errors_go_to_the_log(void **state)
{
    (void)state;
    struct script *s =
        application("env.error:write('bad ', 5, ' ', nil, '\\n') return 204");
    assert_string_equal(serve(s, "A=x"), "");
    assert_logged("warning");
    assert_logged("bad 5 nil");
    script_close(s);
}

static void assert_application_fails(const char *body, const char *part)
{
    struct script *s = application(body);
    struct script_error error = {0};
    begin_request((const char *const[]){"A=1", ""});
    assert_null(answer(s, &error));
    if (strstr(error.message, part) == NULL)
        fail_msg("%s\nsays \"%s\", not \"%s\"", body, error.message, part);
    state_error_clear(&error);
    script_close(s);
}

static void what_no_application_may_answer_is_said(void **state)
{
    (void)state;
    assert_application_fails("return", "returned no status");
    assert_application_fails("return 99", "an HTTP status from 200 to 599");
    assert_application_fails("return 200, 'text'", "the headers are a string");
    assert_application_fails("return 200, {'X: 1'}", "the name of a header is a number");
    assert_application_fails("return 200, {X = 'a\\n'}", "header 'X'");
    assert_application_fails("return 200, {}, 'text'", "attempt to call");
    assert_application_fails("return 200, {}, function() return {} end",
                             "the iterator gave a table");
    assert_application_fails("error('of the application')", "of the application");
    assert_application_fails("return 200, {}, function() error('of the iterator') end",
                             "of the iterator");
}

static void what_is_no_application_is_refused(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_raises(s, "require 'luafcgid2.wsapi'()", "'run', expected, got nil");
    assert_raises(s, "require 'luafcgid2.wsapi'{}", "got a table without one");
    run(s, "require 'luafcgid2.wsapi'{run = print}");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(lua51_brings_its_names),
        TEST(wsapi_finds_modules_of_lua_5_1),
        TEST(an_application_answers),
        TEST(its_errors_go_to_the_log),
        TEST(what_no_application_may_answer_is_said),
        TEST(what_is_no_application_is_refused),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
