/* Scripts are found again, and a bounded number of those without states is remembered. */
#include "pool/table.h"

#include "tests/unit/pool_fixture.h"

static void scripts_of_two_roots_are_two_scripts(void **unused)
{
    (void)unused;
    struct script_error error = {0};
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

static void thousands_of_scripts_are_all_found_again(void **unused)
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

static void what_is_remembered_is_bounded(void **unused)
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

static void visit_sees_every_script_once(void **unused)
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

/* -- The table itself -- */

static struct lock lock;
static struct table table;

static int create(void **unused)
{
    (void)unused;
    if (set_up(NULL) != 0 || !lock_init(&lock))
        return -1;
    table_init(&table);
    table.ghost_limit = 2;
    return 0;
}

static int destroy(void **unused)
{
    (void)unused;
    table_destroy(&table);
    lock_destroy(&lock);
    return tear_down(NULL);
}

static struct entry *find(int i)
{
    char path[32];
    struct entry_key key = table_key(&table, path_of(i, path), "/srv/www");
    lock_acquire(&lock);
    struct entry *e = table_find_locked(&table, &key);
    lock_release(&lock);
    return e;
}

/* Pinned, and with something to remember if `compiled`. */
static struct entry *insert(int i, bool compiled)
{
    char path[32];
    struct entry_key key = table_key(&table, path_of(i, path), "/srv/www");
    struct entry *e = entry_create(&key);
    struct script_error error = {0};
    bool loaded = false;
    require(e != NULL);
    lock_acquire(&lock);
    table_insert_locked(&table, e);
    table_pin_locked(&table, e);
    lock_release(&lock);
    if (compiled)
        version_unref(version_hold(&e->version, &lock, path, &config, &error, &loaded));
    return e;
}

static void unpin(struct entry *e)
{
    struct entry *dead = NULL;
    lock_acquire(&lock);
    e->pins--;
    table_settle_locked(&table, e, &dead);
    lock_release(&lock);
    table_bury(dead);
}

/* Drops a ghost. */
static void forget(struct entry *e)
{
    lock_acquire(&lock);
    table_pin_locked(&table, e);
    lock_release(&lock);
    version_unref(e->version);
    e->version = NULL;
    unpin(e);
}

static void entries_are_found_while_the_table_grows(void **unused)
{
    (void)unused;
    enum { MANY = 3000 };
    static struct entry *entries[MANY];
    for (int i = 0; i < MANY; i++) {
        entries[i] = insert(i, false);
        for (int k = i; k >= 0; k -= 1 + i / 8)
            assert_ptr_equal(find(k), entries[k]);
        assert_null(find(i + 1));
    }
    assert_int_equal(table.entries.count, MANY);
    for (int i = 0; i < MANY; i++) {
        unpin(entries[i]);
        assert_null(find(i));
    }
    assert_int_equal(table.entries.count, 0);
}

static void an_entry_stays_while_anything_needs_it(void **unused)
{
    (void)unused;
    struct entry *e = insert(0, false);
    lock_acquire(&lock);
    e->pins++;
    e->kept = 1;
    lock_release(&lock);
    unpin(e);
    unpin(e);
    assert_ptr_equal(find(0), e);
    e->kept = 0;
    e->closing = 1;
    e->pins = 1;
    unpin(e);
    assert_ptr_equal(find(0), e);
    e->closing = 0;
    e->pins = 1;
    unpin(e);
    assert_null(find(0));
}

static void the_oldest_ghost_goes_when_there_are_too_many(void **unused)
{
    (void)unused;
    for (int i = 0; i < 3; i++)
        unpin(insert(i, true));
    assert_int_equal(table.ghost_count, 2);
    assert_null(find(0));
    assert_true(find(1)->ghost && find(2)->ghost);
    forget(find(1));
    forget(find(2));
}

static void a_ghost_that_is_pinned_is_one_no_more(void **unused)
{
    (void)unused;
    struct entry *e = insert(0, true);
    unpin(e);
    assert_true(e->ghost);
    lock_acquire(&lock);
    table_pin_locked(&table, e);
    lock_release(&lock);
    assert_false(e->ghost);
    assert_int_equal(table.ghost_count, 0);
    unpin(e);
    forget(e);
}

static void a_walk_meets_each_once_and_no_later_ones(void **unused)
{
    (void)unused;
    enum { MANY = 3 * TABLE_BATCH + 5 };
    static int met[MANY + 100];
    struct entry *entries[MANY + 100];
    int n = MANY;
    for (int i = 0; i < MANY; i++)
        entries[i] = insert(i, false);
    memset(met, 0, sizeof met);
    struct table_walk w = {.table = &table, .lock = &lock};
    while (table_walk(&w) > 0) {
        assert_in_range(w.n, 1, TABLE_BATCH);
        for (size_t i = 0; i < w.n; i++) {
            assert_int_equal(w.batch[i]->pins, 2);
            met[atoi(w.batch[i]->key.path + strlen("/srv/www/"))]++;
        }
        entries[n] = insert(n, false);
        n++;
    }
    for (int i = 0; i < n; i++) {
        assert_int_equal(met[i], i < MANY);
        assert_int_equal(entries[i]->pins, 1);
        unpin(entries[i]);
    }
}

/* An entry that nothing needs any more is dropped when the walk has passed it. */
static void a_walk_goes_on_behind_an_entry_that_was_let_go(void **unused)
{
    (void)unused;
    enum { MANY = 2 * TABLE_BATCH };
    size_t seen = 0;
    for (int i = 0; i < MANY; i++)
        insert(i, false);
    struct table_walk w = {.table = &table, .lock = &lock};
    while (table_walk(&w) > 0) {
        seen += w.n;
        for (size_t i = 0; i < w.n; i++)
            unpin(w.batch[i]);
    }
    assert_int_equal(seen, MANY);
    assert_int_equal(table.entries.count, 0);
}

#define WITH_TABLE(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(scripts_of_two_roots_are_two_scripts),
        TEST(thousands_of_scripts_are_all_found_again),
        TEST(what_is_remembered_is_bounded),
        TEST(visit_sees_every_script_once),
        WITH_TABLE(entries_are_found_while_the_table_grows),
        WITH_TABLE(an_entry_stays_while_anything_needs_it),
        WITH_TABLE(the_oldest_ghost_goes_when_there_are_too_many),
        WITH_TABLE(a_ghost_that_is_pinned_is_one_no_more),
        WITH_TABLE(a_walk_meets_each_once_and_no_later_ones),
        WITH_TABLE(a_walk_goes_on_behind_an_entry_that_was_let_go),
    };
    return run_pool(tests);
}
