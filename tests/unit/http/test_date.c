/* Dates in HTTP. */
#include "http/date.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1764000000 /* in November 2025 */

static int64_t parsed(const char *text)
{
    int64_t time = -1;
    if (!date_parse(text, strlen(text), NOW, &time))
        fail_msg("\"%s\" is no date", text);
    return time;
}

static void assert_no_date(const char *text)
{
    int64_t time = -1;
    if (date_parse(text, strlen(text), NOW, &time))
        fail_msg("\"%s\" is a date", text);
    assert_int_equal(time, -1);
}

static void a_date_is_written_as_imf_fixdate(void **state)
{
    (void)state;
    char text[DATE_SIZE];
    assert_true(date_print(784111777, text));
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    assert_true(date_print(0, text));
    assert_string_equal(text, "Thu, 01 Jan 1970 00:00:00 GMT");
    assert_true(date_print(-1, text));
    assert_string_equal(text, "Wed, 31 Dec 1969 23:59:59 GMT");
    assert_true(date_print(951782400, text));
    assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT");
    assert_true(date_print(INT64_C(4107542400), text));
    assert_string_equal(text, "Mon, 01 Mar 2100 00:00:00 GMT");
}

static void years_are_1_to_9999(void **state)
{
    (void)state;
    char text[DATE_SIZE];
    assert_true(date_print(DATE_MIN, text));
    assert_string_equal(text, "Mon, 01 Jan 0001 00:00:00 GMT");
    assert_true(date_print(DATE_MAX, text));
    assert_string_equal(text, "Fri, 31 Dec 9999 23:59:59 GMT");
    assert_false(date_print(DATE_MIN - 1, text));
    assert_false(date_print(DATE_MAX + 1, text));
    assert_no_date("Sat, 01 Jan 0000 00:00:00 GMT");
}

static void all_three_forms_are_read(void **state)
{
    (void)state;
    assert_int_equal(parsed("Sun, 06 Nov 1994 08:49:37 GMT"), 784111777);
    assert_int_equal(parsed("Sunday, 06-Nov-94 08:49:37 GMT"), 784111777);
    assert_int_equal(parsed("Sun Nov  6 08:49:37 1994"), 784111777);
    assert_int_equal(parsed("Wed Nov 16 08:49:37 1994"), 784975777);
    assert_int_equal(parsed("sun, 06 nov 1994 08:49:37 gmt"), 784111777);
}

static void a_year_of_two_digits_is_at_most_50_years_ahead(void **state)
{
    (void)state;
    assert_int_equal(parsed("Friday, 01-Nov-75 00:00:00 GMT"), INT64_C(3339792000));
    assert_int_equal(parsed("Monday, 01-Nov-76 00:00:00 GMT"), 215654400);
}

static void every_day_of_400_years_reads_back(void **state)
{
    (void)state;
    char text[DATE_SIZE];
    for (int64_t day = -135140; day < 11017; day++) {
        int64_t time = day * 86400 + (day % 86400 + 86400) % 86400;
        assert_true(date_print(time, text));
        assert_int_equal(parsed(text), time);
    }
}

static void what_is_no_date_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "Sun",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 29 Feb 1900 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun, 06 Now 1994 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "784111777",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_no_date(bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_date_is_written_as_imf_fixdate),
        cmocka_unit_test(years_are_1_to_9999),
        cmocka_unit_test(all_three_forms_are_read),
        cmocka_unit_test(a_year_of_two_digits_is_at_most_50_years_ahead),
        cmocka_unit_test(every_day_of_400_years_reads_back),
        cmocka_unit_test(what_is_no_date_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
