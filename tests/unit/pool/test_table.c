/* Scripts are found again, and those without states are remembered within bounds. */
#include "tests/unit/pool_fixture.h"

static void test_scripts_of_two_roots_are_two_scripts(void **unused)
{
    (void)unused;
    struct script_error error = {0, NULL};
    ask(0);
    struct script *s = pool_checkout(pool, "/srv/www/0.lua", "/srv", &config, &error);
    assert_non_null(s);
    assert_string_equal(s->root, "/srv");
    assert_int_equal(state_id(s), 1);
    pool_checkin(pool, s, true);
    assert_int_equal(pool_states(pool), 2);
    s = take(0);
    assert_string_equal(s->root, "/srv/www");
    give(s);
}

static void test_thousands_of_scripts_are_all_found_again(void **unused)
{
    (void)unused;
    config.lua_total_states = FILES;
    for (int i = 0; i < 10000; i++) {
        ask(i);
        ask(i / 2);
    }
    for (int i = 0; i < 10000; i++)
        assert_int_equal(atomic_load(&files[i].created), 1);
    assert_int_equal(pool_states(pool), 10000);
}

static void test_what_is_remembered_is_bounded(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 2000; i++) {
        atomic_store(&files[i].broken, i % 2 == 0);
        if (i % 2 == 0)
            assert_int_equal(failing_status(i), 500);
        else
            ask(i);
    }
    assert_in_range(atomic_load(&codes), 8, 16);
    config.lua_total_states = 2;
    for (int i = 0; i < 100; i++)
        assert_int_equal(failing_status(0), 500);
    assert_in_range(atomic_load(&codes), 1, 8 + 2);
}

static void add_up(const char *path, int states, void *sums)
{
    require(!pool_is_locked_here());
    require(states > 0);
    ((int *)sums)[atoi(path + strlen("/srv/www/"))] += states;
}

static void test_visit_sees_every_script_once(void **unused)
{
    (void)unused;
    static int sums[200];
    memset(sums, 0, sizeof sums);
    for (int i = 0; i < 150; i++)
        ask(i);
    struct script *a = take(3), *b = take(3);
    atomic_store(&files[150].broken, true);
    assert_int_equal(failing_status(150), 500);
    pool_visit(pool, add_up, sums);
    for (int i = 0; i < 200; i++)
        assert_int_equal(sums[i], i == 3 ? 2 : i < 150);
    give(a);
    give(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_scripts_of_two_roots_are_two_scripts),
        TEST(test_thousands_of_scripts_are_all_found_again),
        TEST(test_what_is_remembered_is_bounded),
        TEST(test_visit_sees_every_script_once),
    };
    return run_pool(tests);
}
