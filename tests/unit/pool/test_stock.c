/* The number of states. */
#include "pool/stock.h"

#include "tests/unit/pool_fixture.h"

static void first_load_keeps_to_the_limits(void **unused)
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

static void a_full_pool_of_busy_states_gives_an_extra_one(void **unused)
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

static void a_full_pool_evicts_the_oldest_idle_state(void **unused)
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

static void a_broken_script_evicts_nobody(void **unused)
{
    (void)unused;
    config.lua_total_states = 1;
    ask(0);
    atomic_store(&files[1].broken, true);
    assert_int_equal(failing_status(1), 500);
    assert_int_equal(atomic_load(&files[0].closed), 0);
}

static void states_that_fail_to_load_leave_no_trace(void **unused)
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
    struct script_error error = {0};
    struct script *s = try_take(0, &config, &error);
    if (s != NULL)
        give(s);
    state_error_clear(&error);
    return NULL;
}

static void a_failing_load_wakes_those_who_wait_for_its_slot(void **unused)
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

/* -- The stock itself -- */

static struct stock stock;
static struct entry *entry;
static struct version *version;

/* One entry, pinned, whose version is held. */
static int create(void **unused)
{
    (void)unused;
    struct script_error error = {0};
    char path[32];
    bool loaded;
    if (set_up(NULL) != 0 || !stock_init(&stock))
        return -1;
    struct entry_key key = table_key(&stock.table, path_of(0, path), "/srv/www");
    entry = entry_create(&key);
    lock_acquire(&stock.lock);
    table_insert_locked(&stock.table, entry);
    table_pin_locked(&stock.table, entry);
    lock_release(&stock.lock);
    version = version_hold(&entry->version, &stock.lock, path, &config, &error, &loaded);
    return version == NULL;
}

static int destroy(void **unused)
{
    (void)unused;
    version_unref(version);
    entry->pins--;
    stock_clear(&stock);
    require(stock.kept == 0 && stock.charged == 0 && atomic_load(&stock.states) == 0);
    stock_destroy(&stock);
    return tear_down(NULL);
}

static bool claim(bool evict, struct stock_place *place)
{
    *place = (struct stock_place){0};
    lock_acquire(&stock.lock);
    bool claimed = stock_claim_locked(&stock, entry, &config, evict, place);
    lock_release(&stock.lock);
    return claimed;
}

static struct state *make(const struct stock_place *place)
{
    struct script_error error = {0};
    struct state *st = stock_create(&stock, entry, version, &config, place, &error);
    require(st != NULL);
    return st;
}

static void push(struct state *st)
{
    lock_acquire(&stock.lock);
    stock_push_locked(&stock, st);
    lock_release(&stock.lock);
}

static struct state *pop(void)
{
    lock_acquire(&stock.lock);
    struct state *st = stock_pop_locked(&stock, entry);
    lock_release(&stock.lock);
    return st;
}

static void a_place_counts_until_its_state_is_discarded(void **unused)
{
    (void)unused;
    struct stock_place place;
    assert_true(claim(false, &place));
    assert_true(place.first);
    assert_int_equal(place.id, 1);
    assert_int_equal(entry->kept, 1);
    assert_int_equal(stock.kept, 1);
    struct state *st = make(&place);
    assert_int_equal(atomic_load(&stock.states), 1);
    stock_discard(&stock, st, true);
    assert_int_equal(entry->kept + stock.kept + stock.charged, 0);
    assert_int_equal(atomic_load(&stock.states), 0);
}

static void an_extra_place_counts_beside_the_limits(void **unused)
{
    (void)unused;
    struct stock_place place = {0};
    lock_acquire(&stock.lock);
    stock_claim_extra_locked(&stock, entry, &place);
    lock_release(&stock.lock);
    assert_int_equal(entry->extra, 1);
    assert_int_equal(entry->kept + stock.kept, 0);
    stock_discard(&stock, make(&place), true);
    assert_int_equal(entry->extra, 0);
}

static void a_place_whose_state_fails_to_load_is_given_back(void **unused)
{
    (void)unused;
    struct stock_place place;
    struct script_error error = {0};
    assert_true(claim(false, &place));
    atomic_store(&files[0].unloadable, 1);
    assert_null(stock_create(&stock, entry, version, &config, &place, &error));
    assert_int_equal(error.status, 500);
    state_error_clear(&error);
    assert_int_equal(entry->kept + stock.kept, 0);
    assert_true(claim(false, &place));
    assert_int_equal(place.id, 1);
    push(make(&place));
}

static void the_newest_idle_state_is_taken_and_the_oldest_evicted(void **unused)
{
    (void)unused;
    struct stock_place place;
    struct state *st[3];
    for (int i = 0; i < 3; i++) {
        assert_true(claim(false, &place));
        st[i] = make(&place);
    }
    assert_null(pop());
    assert_false(stock_evict(&stock, &config));
    for (int i = 0; i < 3; i++)
        push(st[i]);
    assert_true(stock_evict(&stock, &config));
    assert_ptr_equal(pop(), st[2]);
    assert_ptr_equal(pop(), st[1]);
    assert_null(pop());
    push(st[1]);
    push(st[2]);
}

static void a_full_stock_evicts_for_who_may(void **unused)
{
    (void)unused;
    struct stock_place place;
    config.lua_total_states = 1;
    assert_true(claim(false, &place));
    struct state *st = make(&place);
    assert_false(claim(true, &place)); /* it is busy */
    push(st);
    assert_false(claim(false, &place));
    assert_true(claim(true, &place));
    assert_ptr_equal(place.victim, st);
    assert_int_equal(stock.kept, 1);
    push(make(&place));
    assert_int_equal(atomic_load(&files[0].closed), 1);
}

#define WITH_STOCK(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(first_load_keeps_to_the_limits),
        TEST(a_full_pool_of_busy_states_gives_an_extra_one),
        TEST(a_full_pool_evicts_the_oldest_idle_state),
        TEST(a_broken_script_evicts_nobody),
        TEST(states_that_fail_to_load_leave_no_trace),
        TEST(a_failing_load_wakes_those_who_wait_for_its_slot),
        WITH_STOCK(a_place_counts_until_its_state_is_discarded),
        WITH_STOCK(an_extra_place_counts_beside_the_limits),
        WITH_STOCK(a_place_whose_state_fails_to_load_is_given_back),
        WITH_STOCK(the_newest_idle_state_is_taken_and_the_oldest_evicted),
        WITH_STOCK(a_full_stock_evicts_for_who_may),
    };
    return run_pool(tests);
}
