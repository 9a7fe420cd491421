/* Numbers in texts: digits only, and never more than the bound. */
#include "base/number.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void digits_and_nothing_else_are_decimal(void **state)
{
    (void)state;
    static const char *const good[] = {"0", "7", "007", "1234567890123456789012345"};
    static const char *const bad[] = {"",    "-1",  "+1",  " 1", "1 ",
                                      "1.0", "0x1", "1e3", "one"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(number_is_decimal(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(number_is_decimal(bad[i]));
        assert_int_equal(number_decimal(bad[i], INT64_MAX), -1);
    }
}

static void numbers_are_read_up_to_the_bound(void **state)
{
    (void)state;
    assert_int_equal(number_decimal("0", 0), 0);
    assert_int_equal(number_decimal("1", 0), -1);
    assert_int_equal(number_decimal("65535", 65535), 65535);
    assert_int_equal(number_decimal("65536", 65535), -1);
    assert_int_equal(number_decimal("0065535", 65535), 65535);
    assert_int_equal(number_decimal(NULL, 1), -1);
}

static void what_64_bits_do_not_hold_is_none(void **state)
{
    (void)state;
    assert_true(number_decimal("9223372036854775807", INT64_MAX) == INT64_MAX);
    assert_int_equal(number_decimal("9223372036854775808", INT64_MAX), -1);
    assert_int_equal(number_decimal("99999999999999999999999", INT64_MAX), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_and_nothing_else_are_decimal),
        cmocka_unit_test(numbers_are_read_up_to_the_bound),
        cmocka_unit_test(what_64_bits_do_not_hold_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
