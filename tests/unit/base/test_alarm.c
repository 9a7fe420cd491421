/* Warnings at most once a minute, with counts, and one when it is over. */
#include "base/alarm.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static void assert_news(struct alarm *a, uint32_t now, enum alarm_news news,
                        unsigned count)
{
    unsigned got = 0;
    assert_int_equal(alarm_ask(a, now, &got), news);
    assert_int_equal(got, count);
}

static void nothing_is_said_of_nothing(void **state)
{
    (void)state;
    struct alarm a = {0};
    assert_news(&a, 0, ALARM_NOTHING, 0);
    assert_news(&a, 100000, ALARM_NOTHING, 0);
}

static void the_first_is_said_at_once_and_more_once_a_minute(void **state)
{
    (void)state;
    struct alarm a = {0};
    uint32_t start = UINT32_MAX - 1000; /* the clock wraps */
    alarm_note(&a, 2);
    assert_news(&a, start, ALARM_SAY, 2);
    for (uint32_t t = 1000; t < ALARM_PERIOD; t += 1000) {
        alarm_note(&a, 1);
        assert_news(&a, start + t, ALARM_NOTHING, 0);
    }
    alarm_note(&a, 1);
    assert_news(&a, start + ALARM_PERIOD, ALARM_SAY, 60);
}

static void the_end_is_said_once(void **state)
{
    (void)state;
    struct alarm a = {0};
    alarm_note(&a, 1);
    assert_news(&a, 5, ALARM_SAY, 1);
    alarm_note(&a, 3);
    assert_news(&a, 1005, ALARM_NOTHING, 0);
    assert_news(&a, 1005 + ALARM_QUIET - 1, ALARM_NOTHING, 0);
    assert_news(&a, 1005 + ALARM_QUIET, ALARM_OVER, 3);
    assert_news(&a, 90000, ALARM_NOTHING, 0);
    alarm_note(&a, 1);
    assert_news(&a, 90001, ALARM_SAY, 1);
}

static void what_begins_again_within_the_minute_waits(void **state)
{
    (void)state;
    struct alarm a = {0};
    alarm_note(&a, 1);
    assert_news(&a, 0, ALARM_SAY, 1);
    assert_news(&a, ALARM_QUIET, ALARM_OVER, 0);
    alarm_note(&a, 4);
    assert_news(&a, 30000, ALARM_NOTHING, 0);
    assert_news(&a, ALARM_PERIOD, ALARM_SAY, 4);
}

static void what_lasts_is_not_over(void **state)
{
    (void)state;
    struct alarm a = {0};
    alarm_note(&a, 1);
    assert_news(&a, 0, ALARM_SAY, 1);
    alarm_last(&a, ALARM_QUIET);
    assert_news(&a, ALARM_QUIET, ALARM_NOTHING, 0);
    alarm_last(&a, 3 * ALARM_PERIOD);
    assert_news(&a, 3 * ALARM_PERIOD, ALARM_NOTHING, 0); /* there is no more to say */
    assert_news(&a, 3 * ALARM_PERIOD + ALARM_QUIET, ALARM_OVER, 0);
}

static void what_was_never_said_does_not_end(void **state)
{
    (void)state;
    struct alarm a = {0};
    alarm_last(&a, 5);
    assert_news(&a, 5, ALARM_NOTHING, 0);
    assert_news(&a, 5 + ALARM_QUIET, ALARM_NOTHING, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_said_of_nothing),
        cmocka_unit_test(the_first_is_said_at_once_and_more_once_a_minute),
        cmocka_unit_test(the_end_is_said_once),
        cmocka_unit_test(what_begins_again_within_the_minute_waits),
        cmocka_unit_test(what_lasts_is_not_over),
        cmocka_unit_test(what_was_never_said_does_not_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
