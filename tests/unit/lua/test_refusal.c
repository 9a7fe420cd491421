/* Errors that refuse what a client sent. */
#include "lua/refusal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static int refuse(lua_State *L)
{
    return refusal_raise(L, (int)luaL_checkinteger(L, 1), "%s is too large", "the form");
}

static int status_of(lua_State *L)
{
    lua_pushinteger(L, refusal_status(L, 1));
    lua_pushinteger(L, lua_gettop(L)); /* it leaves the stack as it was */
    return 2;
}

static int open_functions(lua_State *L)
{
    lua_register(L, "refuse", refuse);
    lua_register(L, "status_of", status_of);
    return 0;
}

static struct script *refusing(void)
{
    struct script_error error = {0};
    struct script *s = script("");
    assert_int_equal(state_run(s, open_functions, false, &error), STATE_DONE);
    return s;
}

static void it_has_its_status_and_no_traceback(void **state)
{
    (void)state;
    struct script *s = refusing();
    assert_string_equal(error_of(s, "refuse(413)"), "413: the form is too large");
    assert_true(state_is_usable(s));
    script_close(s);
}

static void raised_again_it_is_the_same(void **state)
{
    (void)state;
    struct script *s = refusing();
    assert_string_equal(error_of(s, "local ok, why = pcall(refuse, 400) error(why, 0)"),
                        "400: the form is too large");
    assert_raises(s, "local ok, why = pcall(refuse, 400) error(why .. '!', 0)",
                  "500: the form is too large!\nstack traceback");
    script_close(s);
}

static void only_the_last_one_is_remembered(void **state)
{
    (void)state;
    struct script *s = refusing();
    run(s, "assert(status_of('the form is too large') == 0)");
    run(s, "pcall(refuse, 400) local status, top = status_of('the form is too large') "
           "assert(status == 400 and top == 2)");
    run(s, "pcall(refuse, 413) assert(status_of('the form is too large') == 413)");
    run(s, "assert(status_of('another') == 0 and status_of({}) == 0 and "
           "status_of(nil) == 0)");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_has_its_status_and_no_traceback),
        TEST(raised_again_it_is_the_same),
        TEST(only_the_last_one_is_remembered),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
