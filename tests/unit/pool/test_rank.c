/* Whose idle states are evicted when the pool is full. */
#include "pool/rank.h"

#include "tests/unit/pool_fixture.h"

static void a_popular_script_survives_a_crawl(void **unused)
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

static void ten_requests_are_enough_to_survive_it(void **unused)
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

static void a_popular_script_survives_a_crawl_that_asks_thrice(void **unused)
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

static void yesterdays_favourite_goes_at_last(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 1000; i++)
        ask(0);
    for (int i = 1; i < 10000; i++)
        ask(i);
    assert_int_equal(atomic_load(&files[0].closed), 1);
}

static void new_favourites_displace_old_ones(void **unused)
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

/* -- The ranks themselves -- */

enum { ENTRIES = 4 };

static struct ranks ranks;
static struct entry entries[ENTRIES];

static int create(void **unused)
{
    (void)unused;
    ranks_init(&ranks);
    for (int i = 0; i < ENTRIES; i++) {
        entries[i] = (struct entry){0};
        list_init(&entries[i].order);
        rank_enter_locked(&ranks, &entries[i]);
    }
    return 0;
}

static void promote(struct entry *e, int times)
{
    for (int i = 0; i < times; i++)
        rank_promote_locked(&ranks, e);
    rank_order_locked(&ranks, e);
}

static void age_by(int ages)
{
    for (int i = 0; i < 128 * ages; i++)
        rank_count_eviction_locked(&ranks, 1);
}

static void nobody_is_lowest_without_idle_states(void **unused)
{
    (void)unused;
    assert_null(rank_lowest_locked(&ranks));
    promote(&entries[0], 1);
    assert_ptr_equal(rank_lowest_locked(&ranks), &entries[0]);
    list_remove(&entries[0].order);
    assert_null(rank_lowest_locked(&ranks));
}

static void the_first_of_the_lowest_rank_goes_first(void **unused)
{
    (void)unused;
    promote(&entries[0], 5);
    promote(&entries[1], 2);
    promote(&entries[2], 2);
    promote(&entries[3], 9);
    static const int order[] = {1, 2, 0, 3};
    for (int i = 0; i < ENTRIES; i++) {
        struct entry *e = rank_lowest_locked(&ranks);
        assert_ptr_equal(e, &entries[order[i]]);
        list_remove(&e->order);
    }
}

static void a_rank_is_bounded(void **unused)
{
    (void)unused;
    promote(&entries[0], 1000);
    assert_int_equal(entries[0].rank, RANK_BUCKETS - 1);
    age_by(3);
    promote(&entries[0], 1000);
    assert_int_equal(entries[0].rank, 3 + RANK_BUCKETS - 1);
}

static void the_age_goes_up_after_so_many_evictions(void **unused)
{
    (void)unused;
    for (int i = 0; i < 127; i++)
        rank_count_eviction_locked(&ranks, 1);
    assert_int_equal(ranks.age, 0);
    rank_count_eviction_locked(&ranks, 1);
    assert_int_equal(ranks.age, 1);
    for (int i = 0; i < 499; i++)
        rank_count_eviction_locked(&ranks, 500);
    assert_int_equal(ranks.age, 1);
    rank_count_eviction_locked(&ranks, 500);
    assert_int_equal(ranks.age, 2);
}

/* When the age goes up, the entries of the lowest rank join those of the next, ahead of
 * them. */
static void who_grows_old_goes_before_who_came_later(void **unused)
{
    (void)unused;
    promote(&entries[1], 1);
    promote(&entries[0], 0);
    age_by(1);
    assert_ptr_equal(rank_lowest_locked(&ranks), &entries[0]);
    rank_order_locked(&ranks, &entries[0]);
    assert_ptr_equal(rank_lowest_locked(&ranks), &entries[1]);
    promote(&entries[1], 1);
    assert_int_equal(entries[1].rank, 2);
    assert_ptr_equal(rank_lowest_locked(&ranks), &entries[0]);
}

static void a_ghost_comes_back_with_at_least_the_age(void **unused)
{
    (void)unused;
    promote(&entries[0], 2);
    age_by(70);
    promote(&entries[0], 1);
    assert_int_equal(entries[0].rank, 71);
}

#define WITH_RANKS(name) cmocka_unit_test_setup(name, create)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_popular_script_survives_a_crawl),
        TEST(ten_requests_are_enough_to_survive_it),
        TEST(a_popular_script_survives_a_crawl_that_asks_thrice),
        TEST(yesterdays_favourite_goes_at_last),
        TEST(new_favourites_displace_old_ones),
        WITH_RANKS(nobody_is_lowest_without_idle_states),
        WITH_RANKS(the_first_of_the_lowest_rank_goes_first),
        WITH_RANKS(a_rank_is_bounded),
        WITH_RANKS(the_age_goes_up_after_so_many_evictions),
        WITH_RANKS(who_grows_old_goes_before_who_came_later),
        WITH_RANKS(a_ghost_comes_back_with_at_least_the_age),
    };
    return run_pool(tests);
}
