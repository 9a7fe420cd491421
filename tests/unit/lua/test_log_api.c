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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(texts_are_logged_as_they_are),
        TEST(values_of_any_type_are_one_line),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
