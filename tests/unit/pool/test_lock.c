/* The pool's lock, and waiting under it. */
#include "pool/lock.h"

#include "base/clock.h"
#include "tests/unit/pool_fixture.h"

static struct lock lock;
static pthread_cond_t condition;
static bool signalled, waiting; /* lock */

static int create(void **unused)
{
    (void)unused;
    signalled = waiting = false;
    return lock_init(&lock) && clock_init_condition(&condition) ? 0 : -1;
}

static int destroy(void **unused)
{
    (void)unused;
    pthread_cond_destroy(&condition);
    lock_destroy(&lock);
    return 0;
}

static void *look_whether_it_is_held(void *held)
{
    *(bool *)held = lock_is_held_here();
    return NULL;
}

static void it_is_held_by_the_thread_that_took_it_alone(void **unused)
{
    (void)unused;
    pthread_t other;
    bool held_there = true;
    assert_false(lock_is_held_here());
    lock_acquire(&lock);
    assert_true(lock_is_held_here());
    require(pthread_create(&other, NULL, look_whether_it_is_held, &held_there) == 0);
    require(pthread_join(other, NULL) == 0);
    assert_false(held_there);
    lock_release(&lock);
    assert_false(lock_is_held_here());
}

static void a_wait_ends_at_its_moment(void **unused)
{
    (void)unused;
    int64_t until = clock_nanoseconds() + 5000000;
    lock_acquire(&lock);
    while (clock_nanoseconds() < until)
        lock_wait_locked(&lock, &condition, until);
    assert_true(lock_is_held_here());
    lock_release(&lock);
}

static void *signal_when_it_waits(void *unused)
{
    (void)unused;
    for (bool seen = false; !seen; breathe()) {
        lock_acquire(&lock);
        seen = signalled = waiting;
        if (seen)
            pthread_cond_signal(&condition);
        lock_release(&lock);
    }
    return NULL;
}

/* The other thread can take the lock only because the wait has let go of it. */
static void a_wait_without_limit_lets_go_of_the_lock_until_the_signal(void **unused)
{
    (void)unused;
    pthread_t other;
    lock_acquire(&lock);
    require(pthread_create(&other, NULL, signal_when_it_waits, NULL) == 0);
    waiting = true;
    while (!signalled)
        lock_wait_locked(&lock, &condition, 0);
    assert_true(lock_is_held_here());
    lock_release(&lock);
    require(pthread_join(other, NULL) == 0);
}

#define WITH_LOCK(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_LOCK(it_is_held_by_the_thread_that_took_it_alone),
        WITH_LOCK(a_wait_ends_at_its_moment),
        WITH_LOCK(a_wait_without_limit_lets_go_of_the_lock_until_the_signal),
    };
    return run_pool(tests);
}
