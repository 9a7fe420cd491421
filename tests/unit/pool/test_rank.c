/* Whose states go when the pool is full. */
#include "tests/unit/pool_fixture.h"

static void test_a_popular_script_survives_a_crawl(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 50; i++)
        ask(0);
    for (int i = 1; i <= 1000; i++)
        ask(i);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 1);
    assert_int_equal(pool_states(pool), 8);
}

static void test_ten_requests_are_enough_to_survive_it(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 10; i++)
        ask(0);
    for (int i = 1; i <= 1000; i++)
        ask(i);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 1);
}

static void test_a_popular_script_survives_a_crawl_that_asks_thrice(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 50; i++)
        ask(0);
    for (int i = 3; i < 3000; i++)
        ask(i / 3);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 1);
}

static void test_yesterdays_favourite_goes_at_last(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 1000; i++)
        ask(0);
    for (int i = 1; i < 10000; i++)
        ask(i);
    assert_int_equal(atomic_load(&files[0].closed), 1);
}

static void test_new_favourites_displace_old_ones(void **unused)
{
    (void)unused;
    config.lua_total_states = 4;
    for (int i = 0; i < 40; i++)
        ask(i % 4);
    for (int i = 0; i < 400; i++)
        ask(4 + i % 4);
    int before = 0, after = 0;
    for (int i = 4; i < 8; i++)
        before += atomic_load(&files[i].created);
    for (int i = 0; i < 400; i++)
        ask(4 + i % 4);
    for (int i = 4; i < 8; i++)
        after += atomic_load(&files[i].created);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_a_popular_script_survives_a_crawl),
        TEST(test_ten_requests_are_enough_to_survive_it),
        TEST(test_a_popular_script_survives_a_crawl_that_asks_thrice),
        TEST(test_yesterdays_favourite_goes_at_last),
        TEST(test_new_favourites_displace_old_ones),
    };
    return run_pool(tests);
}
