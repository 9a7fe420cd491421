/* Counters: what many threads count is added up, also when they have ended. */
#include "daemon/counters.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

enum { THREADS = 4, EACH = 20000 };

static unsigned total(void)
{
    return counters_total(COUNTER_REQUESTS);
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
    counters_add(a, COUNTER_REQUESTS);
    counters_add(b, COUNTER_REQUESTS);
    counters_add(b, COUNTER_REQUESTS);
    assert_int_equal(total() - before, 3);
    counters_destroy(a);
    assert_int_equal(total() - before, 3);
    counters_add(b, COUNTER_REQUESTS);
    counters_destroy(b);
    assert_int_equal(total() - before, 4);
}

static void *count(void *arg)
{
    struct counters *c = counters_create();
    for (int i = 0; i < EACH; i++)
        counters_add(c, COUNTER_REQUESTS);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_has_a_cache_line_of_its_own),
        cmocka_unit_test(what_one_counted_stays_when_it_has_ended),
        cmocka_unit_test(a_reader_never_sees_less_than_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
