/* The store of sessions, as the daemon sees it: each call goes to the kind of store it
 * is, and the one that there is keeps what store/store.h promises. */
#include "store/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/operations.h"
#include "tests/unit/saved_fixture.h"

/* -- A store of another kind -- */

static char calls[256]; /* names of the operations, in their order */
static struct session_store other;
static bool writes; /* what its save gives */

static void note(const char *name, const struct session_store *s)
{
    assert_ptr_equal(s, &other);
    strcat(strcat(calls, name), " ");
}

static void other_destroy(struct session_store *s)
{
    note("destroy", s);
}

static void other_tick(struct session_store *s, const struct config *c)
{
    assert_ptr_equal(c, &config);
    note("tick", s);
}

static bool other_save(struct session_store *s, const struct config *c)
{
    assert_ptr_equal(c, &config);
    note("save", s);
    return writes;
}

static bool other_autosave(struct session_store *s, const struct config *c)
{
    assert_ptr_equal(c, &config);
    note("autosave", s);
    return writes;
}

static uint64_t other_evictions(const struct session_store *s)
{
    note("evictions", s);
    return 7;
}

static size_t other_count(const struct session_store *s)
{
    note("count", s);
    return 42;
}

static void each_call_goes_to_the_kind_of_store_it_is(void **state)
{
    (void)state;
    static const struct store_operations operations = {.destroy = other_destroy,
                                                       .tick = other_tick,
                                                       .save = other_save,
                                                       .autosave = other_autosave,
                                                       .count = other_count,
                                                       .evictions = other_evictions};
    calls[0] = '\0';
    other.operations = &operations;
    store_tick(&other, &config);
    assert_false(store_save(&other, &config));
    writes = true;
    assert_true(store_save(&other, &config));
    assert_true(store_autosave(&other, &config));
    assert_int_equal(store_count(&other), 42);
    assert_int_equal(store_evictions(&other), 7);
    store_destroy(&other);
    store_destroy(NULL);
    assert_string_equal(calls, "tick save save autosave count evictions destroy ");
}

/* -- The store that there is -- */

static void what_has_expired_counts_until_it_is_swept(void **state)
{
    (void)state;
    assert_int_equal(store_count(store), 0);
    struct one old = start(), young;
    pass(HOUR - 1);
    young = start();
    assert_int_equal(store_count(store), 2);
    pass(1);
    assert_int_equal(store_count(store), 2);
    for (int i = 0; i < 100 && store_count(store) > 1; i++)
        store_tick(store, &config);
    assert_int_equal(store_count(store), 1);
    assert_false(alive(&old));
    assert_true(alive(&young));
}

static void a_smaller_bound_makes_room(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++)
        start();
    config.session_max_count = 5;
    for (int i = 0; i < 100 && store_count(store) > 5; i++)
        store_tick(store, &config);
    store_tick(store, &config);
    assert_int_equal(store_count(store), 5);
}

static void only_a_save_writes_the_file(void **state)
{
    (void)state;
    struct one s = start();
    assert_true(set(&s, "r", "k", "v"));
    restart(0);
    assert_false(exists(""));
    assert_int_equal(store_count(store), 0);

    s = start();
    assert_true(set(&s, "r", "k", "v"));
    save();
    assert_true(set(&s, "r", "k", "later"));
    restart(0);
    assert_int_equal(store_count(store), 1);
    assert_true(alive(&s));
    assert_string_equal(get(&s, "r", "k"), "v");
}

static void the_file_is_for_its_owner_alone(void **state)
{
    (void)state;
    struct stat status;
    mode_t before = umask(0);
    start();
    save();
    umask(before);
    assert_int_equal(stat(file_path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    assert_false(exists(".new"));
}

static void without_a_file_a_save_does_nothing(void **state)
{
    (void)state;
    config.session_file = "";
    start();
    save();
    pass(HOUR / 2);
    store_autosave(store, &config);
    assert_false(exists(""));
    assert_int_equal(logged("\n"), 0);
}

static void a_failed_save_is_logged_and_leaves_the_file(void **state)
{
    (void)state;
    char path[160];
    struct one s = start();
    save();
    snprintf(path, sizeof path, "%s/missing/sessions", directory);
    config.session_file = path;
    assert_false(store_save(store, &config));
    assert_int_equal(logged("cannot be written"), 1);
    config.session_file = file_path;
    restart(0);
    assert_true(alive(&s));
}

static void a_damaged_file_is_put_aside_and_logged(void **state)
{
    (void)state;
    write_whole(file_path, "no sessions", 11);
    restart(0);
    assert_int_equal(store_count(store), 0);
    assert_false(exists(""));
    assert_true(exists(".damaged"));
    assert_true(logged(file_path) > 0);
    struct one s = start();
    save();
    restart(0);
    assert_true(alive(&s));
}

static void a_change_is_saved_when_it_is_due(void **state)
{
    (void)state;
    struct one s = start();
    save();
    assert_true(set(&s, "r", "k", "v"));
    store_autosave(store, &config);
    assert_int_equal(unlink(file_path), 0);
    pass(5000);
    store_autosave(store, &config);
    assert_false(exists(""));
    pass(5000);
    store_autosave(store, &config);
    assert_true(exists(""));
    restart(0);
    assert_true(alive(&s));
    assert_string_equal(get(&s, "r", "k"), "v");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_file, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_call_goes_to_the_kind_of_store_it_is),
        TEST(what_has_expired_counts_until_it_is_swept),
        TEST(a_smaller_bound_makes_room),
        TEST(only_a_save_writes_the_file),
        TEST(the_file_is_for_its_owner_alone),
        TEST(without_a_file_a_save_does_nothing),
        TEST(a_failed_save_is_logged_and_leaves_the_file),
        TEST(a_damaged_file_is_put_aside_and_logged),
        TEST(a_change_is_saved_when_it_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
