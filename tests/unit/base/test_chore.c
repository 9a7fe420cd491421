/* The thread of chores. */
#include "base/chore.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

static atomic_int running, most_running, ran, freed;
static atomic_bool may_end;

static void nap(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void run(struct chore *c)
{
    (void)c;
    int now = atomic_fetch_add(&running, 1) + 1;
    if (now > atomic_load(&most_running))
        atomic_store(&most_running, now);
    while (!atomic_load(&may_end))
        nap();
    atomic_fetch_add(&ran, 1);
    atomic_fetch_sub(&running, 1);
}

static void free_chore(struct chore *c)
{
    free(c);
    atomic_fetch_add(&freed, 1);
}

static struct chore *begin(struct waker *waker)
{
    struct chore *c = calloc(1, sizeof *c);
    assert_non_null(c);
    c->run = run;
    c->free = free_chore;
    atomic_init(&c->references, 1);
    assert_true(chore_begin(c, waker));
    return c;
}

static void await(atomic_int *what, int value)
{
    for (int i = 0; i < 60000 && atomic_load(what) != value; i++)
        nap();
    assert_int_equal(atomic_load(what), value);
}

static int reset(void **state)
{
    (void)state;
    atomic_store(&ran, 0);
    atomic_store(&freed, 0);
    atomic_store(&most_running, 0);
    atomic_store(&may_end, false);
    return 0;
}

static void chores_are_done_one_after_the_other(void **state)
{
    (void)state;
    enum { COUNT = 20 };
    struct waker *waker = waker_create();
    struct chore *chores[COUNT];
    for (int i = 0; i < COUNT; i++)
        chores[i] = begin(waker);
    await(&running, 1);
    assert_false(chore_is_done(chores[COUNT - 1]));
    atomic_store(&may_end, true);
    await(&ran, COUNT);
    for (int i = 0; i < COUNT; i++) {
        while (!chore_is_done(chores[i]))
            nap();
        chore_unref(chores[i]);
    }
    await(&freed, COUNT);
    assert_int_equal(atomic_load(&most_running), 1);
    assert_true(waker_is_woken(waker));
    waker_unref(waker);
}

static void one_that_nobody_waits_for_is_not_done(void **state)
{
    (void)state;
    struct waker *waker = waker_create();
    struct chore *first = begin(waker);
    await(&running, 1);
    chore_unref(begin(waker));
    atomic_store(&may_end, true);
    await(&freed, 1);
    assert_int_equal(atomic_load(&ran), 1);
    chore_unref(first);
    await(&freed, 2);
    waker_unref(waker);
}

/* The last test: they stay stopped. */
static void one_that_runs_when_chores_are_stopped_wakes_nobody(void **state)
{
    (void)state;
    struct waker *waker = waker_create();
    struct chore *first = begin(waker), *second = begin(waker);
    await(&running, 1);
    chores_stop();
    atomic_store(&may_end, true);
    await(&ran, 1);
    for (int i = 0; i < 50; i++, nap())
        assert_false(waker_is_woken(waker) || chore_is_done(first));
    assert_int_equal(atomic_load(&ran), 1);
    chore_unref(second);
    chore_unref(first);
    waker_unref(waker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(chores_are_done_one_after_the_other, reset),
        cmocka_unit_test_setup(one_that_nobody_waits_for_is_not_done, reset),
        cmocka_unit_test_setup(one_that_runs_when_chores_are_stopped_wakes_nobody, reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
