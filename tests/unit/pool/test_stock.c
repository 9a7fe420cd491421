/* The number of states. */
#include "tests/unit/pool_fixture.h"

static void test_first_load_keeps_to_the_limits(void **unused)
{
    (void)unused;
    config.lua_states = 5;
    config.lua_max_states = 3;
    config.lua_total_states = 4;
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 3);
    ask(1);
    assert_int_equal(atomic_load(&files[1].created), 1);
    assert_int_equal(atomic_load(&files[0].closed), 0);
}

static void test_a_full_pool_of_busy_states_gives_an_extra_one(void **unused)
{
    (void)unused;
    config.lua_total_states = 2;
    struct script *a = take(0), *b = take(1), *c = take(2);
    assert_int_equal(pool_states(pool), 3);
    give(c);
    give(b);
    give(a);
    assert_int_equal(pool_states(pool), 2);
    assert_int_equal(atomic_load(&files[2].closed), 1);
}

static void test_a_full_pool_evicts_the_oldest_idle_state(void **unused)
{
    (void)unused;
    config.lua_total_states = 2;
    struct script *old = take(0), *new_ = take(0);
    give(old);
    give(new_);
    ask(1);
    assert_int_equal(atomic_load(&files[0].closed), 1);
    assert_ptr_equal(take(0), new_);
    give(new_);
    assert_int_equal(pool_states(pool), 2);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void test_a_broken_script_evicts_nobody(void **unused)
{
    (void)unused;
    config.lua_total_states = 1;
    ask(0);
    atomic_store(&files[1].broken, true);
    assert_int_equal(failing_status(1), 500);
    assert_int_equal(atomic_load(&files[0].closed), 0);
}

static void test_states_that_fail_to_load_leave_no_trace(void **unused)
{
    (void)unused;
    config.lua_total_states = 2;
    config.lua_max_states = 2;
    atomic_store(&files[0].unloadable, -1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(failing_status(0), 500);
    assert_int_equal(pool_states(pool), 0);
    atomic_store(&files[0].unloadable, 0);
    struct script *a = take(0), *b = take(0);
    assert_int_equal(state_id(a), 1);
    assert_int_equal(state_id(b), 2);
    give(a);
    give(b);
    assert_int_equal(pool_states(pool), 2);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void *take_with_few_retries(void *n)
{
    (void)n;
    struct script_error error = {0, NULL};
    struct script *s = try_take(0, &config, &error);
    if (s != NULL)
        give(s);
    state_error_clear(&error);
    return NULL;
}

static void test_a_failing_load_wakes_those_who_wait_for_its_slot(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 1000000;
    atomic_store(&files[0].unloadable, THREADS / 2);
    pthread_t threads[THREADS];
    start(threads, THREADS, take_with_few_retries);
    finish(threads, THREADS);
    assert_int_equal(atomic_load(&files[0].most_live), 1);
    assert_int_equal(pool_states(pool), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_first_load_keeps_to_the_limits),
        TEST(test_a_full_pool_of_busy_states_gives_an_extra_one),
        TEST(test_a_full_pool_evicts_the_oldest_idle_state),
        TEST(test_a_broken_script_evicts_nobody),
        TEST(test_states_that_fail_to_load_leave_no_trace),
        TEST(test_a_failing_load_wakes_those_who_wait_for_its_slot),
    };
    return run_pool(tests);
}
