/* Threads of a crew: more for a time, those that compute, those that are stuck. */
#include "base/crew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>

enum { PATIENCE = 30000 /* ms */, WANTED = 2, MOST_STUCK = 2, MEMBERS = 64 };

/* What each member is to do. */
enum { WAIT, COMPUTE, COME_BACK, LEAVE, END };

static bool work(int id);

static struct crew crew;
static atomic_int orders[MEMBERS]; /* by id */
static atomic_int alive;
static atomic_int left; /* that asked whether they may leave, and did */

static void pause_ms(int ms)
{
    nanosleep(&(struct timespec){0, ms * 1000000L}, NULL);
}

static bool obey(int id, int order)
{
    switch (order) {
    case COMPUTE:
        return true;
    case COME_BACK:
        atomic_store(&orders[id], WAIT);
        return !crew_came_back(&crew);
    case LEAVE:
        atomic_store(&orders[id], WAIT);
        bool leaves = crew_may_leave(&crew);
        atomic_fetch_add(&left, leaves);
        return !leaves;
    default:
        pause_ms(2);
        return order != END;
    }
}

static bool work(int id)
{
    crew_begun(&crew);
    atomic_fetch_add(&alive, 1);
    while (obey(id, atomic_load(&orders[id]))) {
    }
    atomic_fetch_sub(&alive, 1);
    return true;
}

#define wait_until(condition)                                                            \
    do {                                                                                 \
        for (int waited_ = 0; !(condition); waited_ += 2) {                              \
            assert_true(waited_ < PATIENCE);                                             \
            pause_ms(2);                                                                 \
        }                                                                                \
    } while (0)

static void order_all(int order)
{
    for (int i = 0; i < MEMBERS; i++)
        atomic_store(&orders[i], order);
}

static int set_up(void **state)
{
    (void)state;
    crew = (struct crew)CREW("test", work, 0);
    order_all(WAIT);
    atomic_store(&alive, 0);
    atomic_store(&left, 0);
    return crew_start(&crew, WANTED, MOST_STUCK) ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    order_all(END);
    return crew_wait(&crew, PATIENCE) ? 0 : -1;
}

static void it_is_as_strong_as_it_was_started(void **state)
{
    (void)state;
    wait_until(atomic_load(&alive) == WANTED);
    assert_int_equal(crew_surplus(&crew), 0);
}

static void it_grows_to_the_bound(void **state)
{
    (void)state;
    for (int i = WANTED; i < 5; i++)
        assert_int_equal(crew_add(&crew, 5), 0);
    assert_int_equal(crew_add(&crew, 5), EALREADY);
    assert_int_equal(crew_surplus(&crew), 5 - WANTED);
    wait_until(atomic_load(&alive) == 5);
}

static void as_many_stay_as_it_was_started_with(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(crew_add(&crew, MEMBERS), 0);
    wait_until(atomic_load(&alive) == WANTED + 3);
    order_all(LEAVE);
    wait_until(atomic_load(&alive) == WANTED);
    pause_ms(20);
    assert_int_equal(atomic_load(&left), 3);
    assert_int_equal(atomic_load(&alive), WANTED);
    assert_int_equal(crew_surplus(&crew), 0);
}

static void who_waits_does_not_compute(void **state)
{
    (void)state;
    wait_until(atomic_load(&alive) == WANTED);
    wait_until((pause_ms(10), crew_computing(&crew) == 0));
}

/* Also when the machine has no processor for it: many times more than there are. */
static void who_computes_is_counted(void **state)
{
    (void)state;
    if (getenv("LUAFCGID2_SLOWDOWN") != NULL)
        return; /* valgrind lets one thread run at a time, and the others sleep */
    while (crew_add(&crew, 12) == 0) {
    }
    wait_until(atomic_load(&alive) == 12);
    for (int i = 1; i <= 8; i++)
        atomic_store(&orders[i], COMPUTE);
    wait_until((pause_ms(10), crew_computing(&crew) == 8));
#if defined __linux__ && !defined __SANITIZE_THREAD__ /* which sleeps now and then */
    for (int i = 0; i < 50; i++) {
        pause_ms(3);
        assert_in_range(crew_computing(&crew), 8, 12);
    }
#endif
    order_all(WAIT);
    wait_until((pause_ms(10), crew_computing(&crew) == 0));
}

static void who_has_yet_to_begin_is_counted(void **state)
{
    (void)state;
    wait_until(atomic_load(&alive) == WANTED);
    crew.running++; /* as if the system were slow to start it */
    wait_until((pause_ms(10), crew_computing(&crew) == 1));
    crew.running--;
}

static void who_is_stuck_is_replaced_and_counts_no_more(void **state)
{
    (void)state;
    wait_until(atomic_load(&alive) == WANTED);
    atomic_store(&orders[1], COMPUTE);
    wait_until((pause_ms(10), crew_computing(&crew) == 1));
    assert_true(crew_replace(&crew, 1));
    wait_until(atomic_load(&alive) == WANTED + 1);
    assert_int_equal(crew_surplus(&crew), 0);
    wait_until((pause_ms(10), crew_computing(&crew) == 0));
    atomic_store(&orders[1], COME_BACK);
    wait_until(atomic_load(&alive) == WANTED);
    assert_int_equal(crew_surplus(&crew), 0);
}

/* Whatever the heartbeat still finds: what they use may be freed. */
static void nobody_is_started_once_all_have_ended(void **state)
{
    (void)state;
    order_all(END);
    assert_true(crew_wait(&crew, PATIENCE));
    crew.missing = 1; /* as if the system had refused to start one */
    crew_mend(&crew);
    assert_true(crew_replace(&crew, 1));
    assert_int_equal(crew_add(&crew, MEMBERS), EALREADY);
    assert_int_equal(crew.running, 0);
    assert_int_equal(crew.last_id, WANTED);
}

/* However many more there are. */
static void too_many_that_are_stuck_are_an_end(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(crew_add(&crew, MEMBERS), 0);
    for (int i = 1; i <= MOST_STUCK; i++)
        assert_true(crew_replace(&crew, i));
    assert_int_equal(crew_surplus(&crew), 6);
    assert_false(crew_replace(&crew, MOST_STUCK + 1));
}

static void one_that_comes_back_leaves_if_others_are_enough(void **state)
{
    (void)state;
    assert_true(crew_replace(&crew, 1));
    assert_true(crew_replace(&crew, 2));
    wait_until(atomic_load(&alive) == WANTED + 2);
    atomic_store(&orders[1], COME_BACK);
    atomic_store(&orders[2], COME_BACK);
    wait_until(atomic_load(&alive) == WANTED);
    pause_ms(20);
    assert_int_equal(atomic_load(&alive), WANTED);
}

static void nothing_is_left_of_many_that_came_and_went(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        while (crew.last_id < MEMBERS - 4 && crew_add(&crew, WANTED + 2) == 0) {
        }
        order_all(LEAVE);
        wait_until(crew_surplus(&crew) == 0);
    }
    wait_until(atomic_load(&alive) == WANTED);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(it_is_as_strong_as_it_was_started),
        TEST(it_grows_to_the_bound),
        TEST(as_many_stay_as_it_was_started_with),
        TEST(who_waits_does_not_compute),
        TEST(who_computes_is_counted),
        TEST(who_has_yet_to_begin_is_counted),
        TEST(who_is_stuck_is_replaced_and_counts_no_more),
        TEST(too_many_that_are_stuck_are_an_end),
        TEST(one_that_comes_back_leaves_if_others_are_enough),
        TEST(nobody_is_started_once_all_have_ended),
        TEST(nothing_is_left_of_many_that_came_and_went),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
