/* The face of the pool: checkout and check-in. The tests of its inner rooms are in
 * tests/unit/pool. */
#include "tests/unit/pool_fixture.h"

static void idle_states_are_taken_newest_first(void **unused)
{
    (void)unused;
    struct script *a = take(0), *b = take(0), *c = take(0);
    give(a);
    give(b);
    give(c);
    assert_ptr_equal(take(0), c);
    assert_ptr_equal(take(0), b);
    assert_ptr_equal(take(0), a);
    give(a);
    give(b);
    give(c);
    assert_int_equal(atomic_load(&files[0].created), 3);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
    assert_int_equal(pool_states(pool), 3);
}

static void first_load_makes_lua_states(void **unused)
{
    (void)unused;
    config.lua_states = 4;
    struct script *s = take(0);
    assert_int_equal(atomic_load(&files[0].created), 4);
    give(s);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 4);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void a_state_that_is_not_reusable_is_closed(void **unused)
{
    (void)unused;
    struct script *s = take(0);
    atomic_store(&s->busy, false);
    pool_checkin(pool, s, false);
    assert_int_equal(pool_states(pool), 0);
    ask(0);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void note_script(const struct pool_script *s, void *arg)
{
    struct pool_script *seen = arg;
    *seen = *s;
}

static void time_of_requests_is_the_scripts_whatever_becomes_of_their_states(
    void **unused)
{
    (void)unused;
    struct script *a = take(0), *b = take(0);
    struct pool_script seen = {0};
    pool_note_time(a, 500);
    pool_note_time(a, -7); /* the clock of a tired machine */
    pool_note_time(b, 3000);
    give(a);
    atomic_store(&b->busy, false);
    pool_checkin(pool, b, false);
    pool_read_scripts(pool, note_script, &seen);
    assert_int_equal(seen.time, 3500);
    ask(0);
    pool_evict(pool, &config, 1);
    pool_read_scripts(pool, note_script, &seen);
    assert_int_equal(seen.time, 3500);
}

static void lua_max_requests_renews(void **unused)
{
    (void)unused;
    config.lua_max_requests = 3;
    for (int i = 0; i < 9; i++)
        ask(0);
    assert_int_equal(atomic_load(&files[0].created), 3);
    assert_int_equal(atomic_load(&files[0].closed), 3);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void lua_max_errors_renews(void **unused)
{
    (void)unused;
    config.lua_max_errors = 3;
    for (unsigned i = 0; i <= 3; i++) {
        struct script *s = take(0);
        s->failures = i;
        assert_int_equal(atomic_load(&files[0].closed), 0);
        give(s);
    }
    assert_int_equal(atomic_load(&files[0].closed), 1);
    config.lua_max_errors = 0;
    struct script *s = take(0);
    s->failures = 1000;
    give(s);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 2);
    assert_int_equal(atomic_load(&files[0].closed), 1);
}

static void busy_clones_wait_then_an_extra_state(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    struct script *s = take(0);
    int64_t began = milliseconds();
    struct script *extra = take(0);
    assert_true(milliseconds() - began >= 14);
    assert_int_equal(state_id(extra), 2);
    assert_int_equal(pool_states(pool), 2);
    give(extra);
    assert_int_equal(pool_states(pool), 1);
    give(s);
    assert_int_equal(pool_states(pool), 1);
    assert_ptr_equal(take(0), s);
    give(s);
}

static void no_retries_mean_no_wait(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 0;
    struct script *s = take(0);
    give(take(0));
    assert_int_equal(atomic_load(&files[0].closed), 1);
    give(s);
    assert_int_equal(pool_states(pool), 1);
}

/* Its place is free for another state at once. */
static void a_state_that_waits_is_beside_the_limits(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_total_states = 1;
    config.lua_max_search_retries = 1000;
    struct script *s = take(0);
    pool_set_aside(pool, s);
    pool_set_aside(pool, s);
    struct script *other = take(0);
    assert_int_equal(state_id(other), 2);
    give(s); /* there is no room for it */
    assert_int_equal(pool_states(pool), 1);
    pool_set_aside(pool, other);
    s = take(0);
    pool_set_aside(pool, s);
    give(other); /* there is */
    give(s);
    assert_int_equal(pool_states(pool), 1);
    assert_ptr_equal(take(0), other);
    give(other);
    other = take(0); /* it is as any other now */
    pool_set_aside(pool, other);
    give(other);
    assert_int_equal(pool_states(pool), 1);
}

static void an_extra_state_that_has_waited_is_kept_if_there_is_room(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 0;
    struct script *s = take(0), *extra = take(0);
    pool_set_aside(pool, extra);
    pool_set_aside(pool, s);
    give(extra);
    give(s);
    assert_int_equal(pool_states(pool), 1);
    assert_ptr_equal(take(0), extra);
    give(extra);
}

static void a_waiter_gets_what_comes_back(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 1000000;
    struct script *s = take(0);
    pthread_t threads[THREADS];
    atomic_store(&arrived, 0);
    start(threads, THREADS, take_and_give);
    wait_until_stuck(THREADS);
    give(s);
    finish(threads, THREADS);
    assert_int_equal(atomic_load(&files[0].created), 1);
    assert_int_equal(pool_states(pool), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(idle_states_are_taken_newest_first),
        TEST(first_load_makes_lua_states),
        TEST(a_state_that_is_not_reusable_is_closed),
        TEST(time_of_requests_is_the_scripts_whatever_becomes_of_their_states),
        TEST(lua_max_requests_renews),
        TEST(lua_max_errors_renews),
        TEST(busy_clones_wait_then_an_extra_state),
        TEST(no_retries_mean_no_wait),
        TEST(a_state_that_waits_is_beside_the_limits),
        TEST(an_extra_state_that_has_waited_is_kept_if_there_is_room),
        TEST(a_waiter_gets_what_comes_back),
    };
    return run_pool(tests);
}
