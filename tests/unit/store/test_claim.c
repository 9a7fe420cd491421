/* Claims on names: who holds one, who is next, and whose time is over; also from many
 * threads at once, to be run under ThreadSanitizer as well. */
#include "store/claim.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"

#define MS INT64_C(1000000)

static struct bytes b(const char *text)
{
    return (struct bytes){text, strlen(text)};
}

struct one {
    struct claim claim;
    struct waker *waker;
};

static void begin(struct one *one, const char *name, int64_t life)
{
    one->waker = waker_create();
    assert_non_null(one->waker);
    assert_int_equal(claim_begin(&one->claim, b(name), life, one->waker), CLAIM_DONE);
}

static bool holds(struct one *one)
{
    int64_t again;
    return claim_holds(&one->claim, &again);
}

/* Returns whether it held the name. */
static bool end(struct one *one)
{
    bool held = claim_end(&one->claim);
    waker_unref(one->waker);
    return held;
}

static void a_name_goes_to_the_first_in_the_queue(void **state)
{
    (void)state;
    struct one a, c, d, other;
    begin(&a, "x", 0);
    begin(&c, "x", 0);
    begin(&d, "x", 0);
    begin(&other, "y", 0);
    assert_true(holds(&a) && holds(&other));
    assert_false(holds(&c) || holds(&d));
    assert_true(end(&a));
    assert_true(waker_is_woken(c.waker));
    assert_false(waker_is_woken(d.waker));
    assert_true(holds(&c));
    assert_false(holds(&d));
    assert_true(end(&c));
    assert_true(holds(&d));
    assert_true(end(&d));
    assert_true(end(&other));
    begin(&a, "x", 0);
    assert_true(holds(&a));
    end(&a);
}

static void who_leaves_the_queue_is_not_woken(void **state)
{
    (void)state;
    struct one a, c, d;
    begin(&a, "x", 0);
    begin(&c, "x", 0);
    begin(&d, "x", 0);
    assert_false(end(&c));
    end(&a);
    assert_true(holds(&d));
    end(&d);
}

static void one_request_does_not_wait_for_itself(void **state)
{
    (void)state;
    struct one a;
    struct claim again;
    begin(&a, "x", 0);
    assert_int_equal(claim_begin(&again, b("x"), 0, a.waker), CLAIM_IS_MINE);
    assert_int_equal(claim_begin(&again, b("y"), 0, a.waker), CLAIM_DONE);
    assert_true(claim_end(&again));
    assert_true(end(&a));
}

static void wait_for(struct one *one)
{
    int64_t again;
    for (int i = 0; i < 1000 && !claim_holds(&one->claim, &again); i++)
        usleep(10000);
    assert_true(claim_holds(&one->claim, &again));
}

static void who_is_late_loses_the_name(void **state)
{
    (void)state;
    struct one a, c, d;
    int64_t again, begun = clock_nanoseconds();
    begin(&a, "x", 50 * MS);
    begin(&c, "x", 50 * MS);
    begin(&d, "x", 0);
    assert_false(claim_holds(&d.claim, &again));
    assert_true(again == AWAITED_FOREVER); /* the first in the queue looks */
    if (!claim_holds(&c.claim, &again))
        assert_in_range(again - begun, 50 * MS, 5000 * MS);
    wait_for(&c);
    assert_true(clock_nanoseconds() - begun >= 50 * MS);
    assert_true(waker_is_woken(d.waker)); /* it is the first now, and has to look */
    assert_false(holds(&a));
    wait_for(&d);
    assert_false(end(&a));
    assert_false(end(&c));
    assert_true(end(&d));
}

/* -- Many threads -- */

enum { THREADS = 8, ROUNDS = 1000 };

static int inside; /* by who holds the name alone */
static long total;
static atomic_uint wrong;

static void *come_and_go(void *arg)
{
    unsigned seed = (unsigned)(intptr_t)arg + 1;
    struct one one;
    one.waker = waker_create();
    for (int i = 0; i < ROUNDS; i++) {
        int64_t again, late = clock_milliseconds() + 60000;
        claim_begin(&one.claim, b("x"), 0, one.waker);
        bool patient = rand_r(&seed) % 4 != 0, mine;
        for (;;) {
            waker_reset(one.waker);
            mine = claim_holds(&one.claim, &again);
            if (mine || !patient)
                break;
            while (!waker_is_woken(one.waker) && clock_milliseconds() < late)
                sched_yield();
            if (clock_milliseconds() >= late)
                break;
        }
        if (patient && !mine)
            atomic_fetch_add(&wrong, 1); /* a wake was lost */
        if (mine) {
            if (inside++ != 0)
                atomic_fetch_add(&wrong, 1);
            total++;
            inside--;
        }
        claim_end(&one.claim);
    }
    waker_unref(one.waker);
    return NULL;
}

static void one_at_a_time_holds_a_name(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, (void *)i), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_true(total > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_goes_to_the_first_in_the_queue),
        cmocka_unit_test(who_leaves_the_queue_is_not_woken),
        cmocka_unit_test(one_request_does_not_wait_for_itself),
        cmocka_unit_test(who_is_late_loses_the_name),
        cmocka_unit_test(one_at_a_time_holds_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
