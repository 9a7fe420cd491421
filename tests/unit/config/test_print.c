/* What -h prints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/config_fixture.h"

static void test_help_fits_80_columns(void **state)
{
    (void)state;
    static char text[32768];
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    config_print_options(out);
    fclose(out);
    size_t options = 0;
    char *at = text;
    for (char *line; (line = strsep(&at, "\n")) != NULL;) {
        if (strlen(line) > 80)
            fail_msg("%s", line);
        options += (line[0] == ' ' || line[0] == '*') && line[1] == ' ' && line[2] > ' ';
    }
    assert_true(options > 50);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_help_fits_80_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
