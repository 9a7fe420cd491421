/* States of files that have changed. */
#include "pool/stale.h"

#include "tests/unit/pool_fixture.h"

static void a_stale_idle_state_is_not_served(void **unused)
{
    (void)unused;
    struct script *a = take(0), *b = take(0);
    give(a);
    give(b);
    edit(0);
    struct script *s = take(0);
    assert_int_equal(s->code->version, atomic_load(&files[0].version));
    assert_int_equal(atomic_load(&files[0].closed), 2);
    assert_int_equal(atomic_load(&files[0].compiled), 2);
    give(s);
}

static void a_stale_busy_state_goes_at_check_in(void **unused)
{
    (void)unused;
    struct script *s = take(0);
    edit(0);
    pool_sweep(pool);
    assert_int_equal(pool_states(pool), 1);
    give(s);
    assert_int_equal(pool_states(pool), 0);
}

static void the_sweep_closes_stale_idle_states_at_once(void **unused)
{
    (void)unused;
    struct script *s[3];
    for (int i = 0; i < 100; i++)
        ask(i);
    for (int i = 0; i < 3; i++)
        s[i] = take(1);
    for (int i = 0; i < 3; i++)
        give(s[i]);
    edit(0);
    pool_sweep(pool);
    assert_int_equal(atomic_load(&files[0].live), 0);
    assert_int_equal(pool_states(pool), 101);
    assert_int_equal(atomic_load(&codes), 99);
    for (int i = 2; i >= 0; i--)
        assert_ptr_equal(take(1), s[i]);
    for (int i = 0; i < 3; i++)
        give(s[i]);
}

static void the_sweep_forgets_errors_of_changed_files(void **unused)
{
    (void)unused;
    atomic_store(&files[0].broken, true);
    assert_int_equal(failing_status(0), 500);
    assert_int_equal(atomic_load(&codes), 1);
    edit(0);
    pool_sweep(pool);
    assert_int_equal(atomic_load(&codes), 0);
}

static void a_state_checked_in_during_a_sweep_is_found_by_the_next(void **unused)
{
    (void)unused;
    struct script *s = take(0);
    edit(1);
    pool_sweep(pool);
    /* As if the state had been found current before the change, and was pushed after the
     * sweep. */
    give(s);
    atomic_fetch_add(&files[0].version, 1);
    pool_sweep(pool);
    assert_int_equal(pool_states(pool), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_stale_idle_state_is_not_served),
        TEST(a_stale_busy_state_goes_at_check_in),
        TEST(the_sweep_closes_stale_idle_states_at_once),
        TEST(the_sweep_forgets_errors_of_changed_files),
        TEST(a_state_checked_in_during_a_sweep_is_found_by_the_next),
    };
    return run_pool(tests);
}
