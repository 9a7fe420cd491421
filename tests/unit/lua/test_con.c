/* con, the object that stands for a request. */
#include "lua/con.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void a_con_of_a_request_that_is_over_is_an_error(void **state)
{
    (void)state;
    struct script *s = script("function main(env, con) kept = kept or con "
                              "local ok, why = pcall(kept.puts, kept, 'x') "
                              "if not ok then return why end end");
    assert_string_equal(serve(s, "A=1"), "x");
    const char *second = serve(s, "A=1");
    assert_non_null(strstr(second, "a request that is over"));
    script_close(s);
}

static void a_method_wants_a_con(void **state)
{
    (void)state;
    assert_page_fails("con.puts('x')", "luafcgid2.con expected");
    assert_page_fails("con.flush(io.stdout)", "luafcgid2.con expected");
    assert_page_fails("con.log()", "luafcgid2.con expected");
}

static void its_metatable_is_not_shown(void **state)
{
    (void)state;
    assert_page("return tostring(getmetatable(con))", "false");
    assert_page("return tostring(pcall(setmetatable, con, {}))", "false");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_con_of_a_request_that_is_over_is_an_error),
        TEST(a_method_wants_a_con),
        TEST(its_metatable_is_not_shown),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
