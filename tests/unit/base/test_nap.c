/* Naps end when it is time, when they are woken, and when the thread is to end. */
#include "base/nap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/clock.h"

#define LONG 3600000 /* ms; no test waits for its end */

static struct nap nap = NAP;

static int begin(void **state)
{
    (void)state;
    nap_begin(&nap);
    return 0;
}

static void it_ends_when_it_is_time(void **state)
{
    (void)state;
    int64_t before = clock_milliseconds();
    assert_true(nap_take(&nap, 20));
    assert_true(clock_milliseconds() - before >= 20);
    assert_true(nap_take(&nap, 0));
}

static void one_that_was_woken_before_does_not_sleep(void **state)
{
    (void)state;
    nap_wake(&nap);
    nap_wake(&nap);
    assert_true(nap_take(&nap, LONG));
    int64_t before = clock_milliseconds();
    assert_true(nap_take(&nap, 20)); /* two wake it once */
    assert_true(clock_milliseconds() - before >= 20);
}

static void *sleep_until_the_end(void *arg)
{
    while (nap_take(&nap, LONG))
        ++*(int *)arg;
    return arg;
}

static void an_end_ends_it_and_what_begins_again_sleeps_again(void **state)
{
    (void)state;
    int naps = 0;
    pthread_t thread;
    nap_wake(&nap);
    assert_int_equal(pthread_create(&thread, NULL, sleep_until_the_end, &naps), 0);
    nap_end(&nap);
    pthread_join(thread, NULL);
    assert_in_range(naps, 0, 1);
    assert_false(nap_take(&nap, LONG));
    nap_begin(&nap);
    assert_true(nap_take(&nap, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_ends_when_it_is_time, begin),
        cmocka_unit_test_setup(one_that_was_woken_before_does_not_sleep, begin),
        cmocka_unit_test_setup(an_end_ends_it_and_what_begins_again_sleeps_again, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
