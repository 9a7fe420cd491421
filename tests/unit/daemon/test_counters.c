/* Counters: what many threads count is added up, also when they have ended. */
#include "daemon/counters.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

enum { THREADS = 4, EACH = 20000 };

static unsigned total(void)
{
    struct counters_totals totals;
    counters_read(&totals);
    return (unsigned)counters_requests(&totals);
}

static void each_has_a_cache_line_of_its_own(void **state)
{
    (void)state;
    struct counters *a = counters_create(), *b = counters_create();
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal((uintptr_t)a % COUNTERS_LINE, 0);
    assert_int_equal((uintptr_t)b % COUNTERS_LINE, 0);
    assert_int_equal(sizeof *a % COUNTERS_LINE, 0);
    counters_destroy(a);
    counters_destroy(b);
    counters_destroy(NULL);
}

static void what_one_counted_stays_when_it_has_ended(void **state)
{
    (void)state;
    unsigned before = total();
    struct counters *a = counters_create(), *b = counters_create();
    counters_add(a, COUNTER_2XX, 1);
    counters_add(b, COUNTER_2XX, 1);
    counters_add(b, COUNTER_2XX, 1);
    assert_int_equal(total() - before, 3);
    counters_destroy(a);
    assert_int_equal(total() - before, 3);
    counters_add(b, COUNTER_2XX, 1);
    counters_destroy(b);
    assert_int_equal(total() - before, 4);
}

static void *count(void *arg)
{
    struct counters *c = counters_create();
    for (int i = 0; i < EACH; i++)
        counters_add(c, COUNTER_2XX, 1);
    counters_destroy(c);
    return arg;
}

static void a_reader_never_sees_less_than_before(void **state)
{
    (void)state;
    unsigned before = total(), last = 0;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    for (int i = 0; i < 1000; i++) {
        unsigned now = total() - before;
        assert_in_range(now, last, THREADS * EACH);
        last = now;
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(total() - before, THREADS * EACH);
}

/* That it is in the range below `end`, and nowhere else. */
static void expect_range(int64_t nanoseconds, int range)
{
    struct counters_totals before, after;
    struct counters *c = counters_create();
    counters_read(&before);
    counters_time(c, HISTOGRAM_ANSWER, nanoseconds);
    counters_read(&after);
    for (int i = 0; i < HISTOGRAM_RANGES; i++)
        assert_int_equal(after.ranges[HISTOGRAM_ANSWER][i] -
                             before.ranges[HISTOGRAM_ANSWER][i],
                         i == range);
    assert_int_equal(after.sums[HISTOGRAM_ANSWER] - before.sums[HISTOGRAM_ANSWER],
                     nanoseconds > 0 ? nanoseconds / 1000 : 0);
    assert_memory_equal(after.ranges[HISTOGRAM_QUEUE], before.ranges[HISTOGRAM_QUEUE],
                        sizeof after.ranges[HISTOGRAM_QUEUE]);
    counters_destroy(c);
}

static void a_time_is_counted_in_its_range(void **state)
{
    (void)state;
    expect_range(0, 0);
    expect_range(-5, 0); /* a clock that is read in two threads */
    expect_range(100000, 0);
    expect_range(101000, 1);
    for (int i = 1; i < HISTOGRAM_RANGES - 1; i++) {
        expect_range(counters_ends[i] * INT64_C(1000), i);
        expect_range(counters_ends[i] * INT64_C(1000) + 1000, i + 1);
    }
    expect_range(INT64_C(86400) * 1000000000, HISTOGRAM_RANGES - 1);
}

static void a_number_that_wraps_around_does_not_in_the_totals(void **state)
{
    (void)state;
    struct counters_totals before, after;
    struct counters *c = counters_create();
    counters_add(c, COUNTER_SENT, ULONG_MAX - 5);
    counters_read(&before);
    counters_add(c, COUNTER_SENT, 10);
    counters_read(&after);
    assert_int_equal(after.of[COUNTER_SENT] - before.of[COUNTER_SENT], 10);
    counters_destroy(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_a_cache_line_of_its_own),
        cmocka_unit_test(what_one_counted_stays_when_it_has_ended),
        cmocka_unit_test(a_reader_never_sees_less_than_before),
        cmocka_unit_test(a_time_is_counted_in_its_range),
        cmocka_unit_test(a_number_that_wraps_around_does_not_in_the_totals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
