/* Deadlines: before, at and after the moment, and where the clock wraps around. */
#include "base/deadline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void check(uint32_t now)
{
    uint32_t deadline = deadline_after(now, 1000);
    assert_int_equal(deadline_left(deadline, now), 1000);
    assert_false(deadline_is_over(deadline, now));
    assert_int_equal(deadline_left(deadline, now + 999), 1);
    assert_false(deadline_is_over(deadline, now + 999));
    assert_int_equal(deadline_left(deadline, now + 1000), 0);
    assert_true(deadline_is_over(deadline, now + 1000));
    assert_int_equal(deadline_left(deadline, now + 5000), -4000);
    assert_true(deadline_is_over(deadline, now + 5000));
}

static void a_deadline_is_over_from_its_moment_on(void **state)
{
    (void)state;
    check(0);
    check(123456);
}

static void the_clock_may_wrap_around_before_the_deadline(void **state)
{
    (void)state;
    for (uint32_t back = 0; back < 6000; back += 100)
        check(UINT32_MAX - back);
    check(INT32_MAX);
    check((uint32_t)INT32_MAX + 1);
}

static void a_deadline_may_be_24_days_away(void **state)
{
    (void)state;
    uint32_t deadline = deadline_after(5, INT32_MAX);
    assert_int_equal(deadline_left(deadline, 5), INT32_MAX);
    assert_false(deadline_is_over(deadline, 5));
    assert_true(deadline_is_over(deadline, 5 + (uint32_t)INT32_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadline_is_over_from_its_moment_on),
        cmocka_unit_test(the_clock_may_wrap_around_before_the_deadline),
        cmocka_unit_test(a_deadline_may_be_24_days_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
