/* Entries: their keys, and the ids of their states. */
#include "pool/entry.h"

#include "tests/unit/pool_fixture.h"

static void ids_are_the_smallest_free(void **unused)
{
    (void)unused;
    config.lua_max_states = 100;
    struct script *s[70];
    for (int i = 0; i < 70; i++) {
        s[i] = take(0);
        assert_int_equal(state_id(s[i]), i + 1);
    }
    atomic_store(&s[40]->busy, false);
    pool_checkin(pool, s[40], false);
    s[40] = take(0);
    assert_int_equal(state_id(s[40]), 41);
    assert_int_equal(atomic_load(&files[0].created), 71);
    for (int i = 0; i < 70; i++)
        give(s[i]);
}

static struct entry *new_entry(void)
{
    struct entry_key key = {"/srv/www/0.lua", "/srv/www", 14, 8, 1};
    struct entry *e = entry_create(&key);
    assert_non_null(e);
    return e;
}

static void a_new_entry_copies_its_key_and_has_nothing(void **unused)
{
    (void)unused;
    char path[] = "/srv/www/7.lua", root[] = "/srv/www";
    struct entry_key key = {path, root, strlen(path), strlen(root), 99};
    struct entry *e = entry_create(&key);
    assert_non_null(e);
    memset(path, 'x', strlen(path));
    memset(root, 'x', strlen(root));
    assert_string_equal(e->key.path, "/srv/www/7.lua");
    assert_string_equal(e->key.root, "/srv/www");
    assert_int_equal(e->key.hash, 99);
    assert_true(list_is_empty(&e->idle));
    assert_int_equal(e->pins + e->waiters + e->examined, 0);
    assert_int_equal(e->kept + e->extra + e->closing + e->charged, 0);
    assert_null(e->version);
    entry_free(e);
}

static void an_id_that_was_given_back_is_taken_next(void **unused)
{
    (void)unused;
    static const int given[] = {1, 32, 33, 64, 97, 200};
    struct entry *e = new_entry();
    for (int i = 1; i <= 200; i++)
        assert_int_equal(entry_take_id_locked(e), i);
    for (size_t i = sizeof given / sizeof *given; i-- > 0;)
        entry_give_id_locked(e, given[i]);
    for (size_t i = 0; i < sizeof given / sizeof *given; i++)
        assert_int_equal(entry_take_id_locked(e), given[i]);
    assert_int_equal(entry_take_id_locked(e), 201);
    entry_free(e);
}

/* Without memory a state may have an id that no bit stands for. */
static void an_id_beyond_the_bits_is_given_back_harmlessly(void **unused)
{
    (void)unused;
    struct entry *e = new_entry();
    entry_give_id_locked(e, 33);
    assert_int_equal(entry_take_id_locked(e), 1);
    entry_free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(ids_are_the_smallest_free),
        cmocka_unit_test(a_new_entry_copies_its_key_and_has_nothing),
        cmocka_unit_test(an_id_that_was_given_back_is_taken_next),
        cmocka_unit_test(an_id_beyond_the_bits_is_given_back_harmlessly),
    };
    return run_pool(tests);
}
