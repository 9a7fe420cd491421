/* The clocks of sessions, and those that tests put in their place. */
#include "store/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <time.h>

static int64_t seven(void)
{
    return 7;
}

static int64_t milliseconds_of(clockid_t clock)
{
    struct timespec t;
    assert_int_equal(clock_gettime(clock, &t), 0);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* It is read between two looks at the system's. */
static void assert_is_clock(int64_t (*now)(void), clockid_t clock)
{
    int64_t before = milliseconds_of(clock), got = now();
    assert_true(before <= got && got <= milliseconds_of(clock));
}

static int system_clocks(void **state)
{
    (void)state;
    moment_set_clocks(NULL, NULL);
    return 0;
}

static void both_are_the_systems_in_milliseconds(void **state)
{
    (void)state;
    assert_is_clock(moment_wall, CLOCK_REALTIME);
    assert_is_clock(moment_now, CLOCK_BOOTTIME); /* sleep counts */
}

static void each_clock_is_replaced_and_put_back_by_itself(void **state)
{
    (void)state;
    moment_set_clocks(seven, NULL);
    assert_int_equal(moment_now(), 7);
    assert_is_clock(moment_wall, CLOCK_REALTIME);
    moment_set_clocks(NULL, seven);
    assert_is_clock(moment_now, CLOCK_BOOTTIME);
    assert_int_equal(moment_wall(), 7);
    moment_set_clocks(NULL, NULL);
    assert_is_clock(moment_wall, CLOCK_REALTIME);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, system_clocks, system_clocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(both_are_the_systems_in_milliseconds),
        TEST(each_clock_is_replaced_and_put_back_by_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
