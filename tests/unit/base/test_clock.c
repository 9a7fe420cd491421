/* The monotonic clock in its three forms, against clock_gettime itself, which the test
 * puts wherever it wants. */
#include "base/clock.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

static bool faked;
static struct timespec fake;

/* In place of the C library's. */
int clock_gettime(clockid_t id, struct timespec *t)
{
    bool monotonic = id == CLOCK_MONOTONIC;
#ifdef CLOCK_MONOTONIC_COARSE
    monotonic |= id == CLOCK_MONOTONIC_COARSE;
#endif
    if (!faked || !monotonic)
#ifdef SYS_clock_gettime64
        return (int)syscall(SYS_clock_gettime64, id, t);
#else
        return (int)syscall(SYS_clock_gettime, id, t);
#endif
    *t = fake;
    return 0;
}

static void put(time_t seconds, long nanoseconds)
{
    faked = true;
    fake = (struct timespec){seconds, nanoseconds};
}

static int unfake(void **state)
{
    (void)state;
    faked = false;
    return 0;
}

static void ticks_are_milliseconds(void **state)
{
    (void)state;
    put(12, 345678901);
    assert_int_equal(clock_ticks(), 12345);
    put(0, 999999);
    assert_int_equal(clock_ticks(), 0);
    put(0, 1000000);
    assert_int_equal(clock_ticks(), 1);
}

/* After 49 days; the difference across the wrap is still right. */
static void ticks_wrap(void **state)
{
    (void)state;
    put(4294967, 295000000);
    uint32_t before = clock_ticks();
    assert_int_equal(before, UINT32_MAX);
    put(4294967, 306000000);
    assert_int_equal(clock_ticks(), 10);
    assert_int_equal(clock_ticks() - before, 11);
}

static void nanoseconds_of_a_hundred_years(void **state)
{
    (void)state;
    put((time_t)3155760000, 7);
    assert_true(clock_nanoseconds() == INT64_C(3155760000000000007));
}

static void milliseconds_are_cut_and_do_not_wrap(void **state)
{
    (void)state;
    put((time_t)3155760000, 7999999);
    assert_true(clock_milliseconds() == INT64_C(3155760000007));
}

/* A wall clock that is set does not matter: the condition ends by this clock. */
static void a_condition_is_waited_for_by_this_clock(void **state)
{
    (void)state;
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition;
    assert_true(clock_init_condition(&condition));
    int64_t first = clock_milliseconds();
    struct timespec until = clock_after(20);
    int error = 0;
    pthread_mutex_lock(&lock);
    while (error == 0)
        error = pthread_cond_timedwait(&condition, &lock, &until);
    pthread_mutex_unlock(&lock);
    assert_int_equal(error, ETIMEDOUT);
    assert_in_range(clock_milliseconds() - first, 19, 30000);
    pthread_cond_destroy(&condition);
}

static void a_moment_ahead_carries_into_seconds(void **state)
{
    (void)state;
    static const struct {
        time_t seconds;
        long nanoseconds;
        int64_t ahead;
        time_t then;
        long then_nanoseconds;
    } rows[] = {
        {5, 0, 0, 5, 0},
        {5, 1, 999, 5, 999000001},
        {5, 1000000, 999, 6, 0},
        {5, 999999999, 1, 6, 999999},
        {5, 999999999, 1000, 6, 999999999},
        {5, 500000000, 86400500, 86406, 0},
        {5, 0, INT64_C(5000000000), 5000005, 0}, /* more than 32 bits of milliseconds */
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        put(rows[i].seconds, rows[i].nanoseconds);
        struct timespec t = clock_after(rows[i].ahead);
        assert_int_equal(t.tv_sec, rows[i].then);
        assert_int_equal(t.tv_nsec, rows[i].then_nanoseconds);
    }
}

static void the_real_one_goes_forward(void **state)
{
    (void)state;
    int64_t first = clock_nanoseconds();
    uint32_t tick = clock_ticks();
    while (clock_nanoseconds() - first < 20000000)
        ;
    assert_in_range(clock_ticks() - tick, 1, 30000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(ticks_are_milliseconds, unfake),
        cmocka_unit_test_teardown(ticks_wrap, unfake),
        cmocka_unit_test_teardown(nanoseconds_of_a_hundred_years, unfake),
        cmocka_unit_test_teardown(milliseconds_are_cut_and_do_not_wrap, unfake),
        cmocka_unit_test(a_condition_is_waited_for_by_this_clock),
        cmocka_unit_test_teardown(a_moment_ahead_carries_into_seconds, unfake),
        cmocka_unit_test(the_real_one_goes_forward),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
