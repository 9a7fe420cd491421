/* Wakers: a latch, and a count of those who know of it. */
#include "base/waker.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static int wakes, deaths;

static void on_wake(struct waker *w)
{
    (void)w;
    wakes++;
}

static void on_death(struct waker *w)
{
    (void)w;
    deaths++;
}

static void it_stays_woken_until_it_is_reset(void **state)
{
    (void)state;
    struct waker *w = waker_create();
    assert_false(waker_is_woken(w));
    waker_wake(w);
    assert_true(waker_is_woken(w));
    waker_reset(w);
    assert_false(waker_is_woken(w));
    waker_unref(w);
    waker_unref(NULL);
}

static void who_waits_is_told_once_until_it_has_looked(void **state)
{
    (void)state;
    struct waker w;
    wakes = 0;
    waker_init(&w, on_wake, on_death);
    waker_wake(&w);
    waker_wake(&w);
    assert_int_equal(wakes, 1);
    waker_reset(&w);
    waker_wake(&w);
    assert_int_equal(wakes, 2);
}

static void it_dies_with_the_last_reference(void **state)
{
    (void)state;
    struct waker w;
    deaths = 0;
    waker_init(&w, on_wake, on_death);
    assert_ptr_equal(waker_ref(&w), &w);
    waker_unref(&w);
    assert_int_equal(deaths, 0);
    waker_unref(&w);
    assert_int_equal(deaths, 1);
}

static void *wake_and_forget(void *arg)
{
    waker_wake(arg);
    waker_unref(arg);
    return NULL;
}

static void it_outlives_who_waited_as_long_as_somebody_wakes(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        pthread_t thread;
        struct waker *w = waker_create();
        assert_int_equal(pthread_create(&thread, NULL, wake_and_forget, waker_ref(w)), 0);
        waker_unref(w);
        pthread_join(thread, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_stays_woken_until_it_is_reset),
        cmocka_unit_test(who_waits_is_told_once_until_it_has_looked),
        cmocka_unit_test(it_dies_with_the_last_reference),
        cmocka_unit_test(it_outlives_who_waited_as_long_as_somebody_wakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
