/* Lines that scripts write to the log. */
#include "lua/log_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void texts_are_logged_as_they_are(void **state)
{
    (void)state;
    assert_page("Log('100% %s') con:log('by method')", "");
    assert_logged("info: 100% %s\n");
    assert_logged("info: by method\n");
}

static void values_of_any_type_are_one_line(void **state)
{
    (void)state;
    assert_page("Log('n = ', 1, ', ', nil, true) Log() con:log()", "");
    assert_logged("info: n = 1, niltrue\n");
}

static void the_first_of_several_may_be_a_level(void **state)
{
    (void)state;
    assert_page("Log('warning', 'w', 1) con:log('debug', 'd') Log('error') "
                "Log('loud', 'x')",
                "");
    assert_logged("warning: w1");
    assert_logged("debug: d\n");
    assert_logged("info: error\n");
    assert_logged("info: loudx\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_are_logged_as_they_are),
        TEST(the_first_of_several_may_be_a_level),
        TEST(values_of_any_type_are_one_line),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
