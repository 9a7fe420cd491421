/* SessionFile: which sessions come back, what changes while it is written, and when it is
 * written. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/file.h"
#include "tests/unit/saved_fixture.h"

/* -- What comes back -- */

static void sessions_come_back_with_all_they_had(void **state)
{
    (void)state;
    struct one s = start(), empty = start();
    struct bytes odd = {"\0*\n", 3}, binary = {"a\0\xff\n", 4};
    assert_true(set(&s, "zebra", "k", "first"));
    assert_true(set(&s, "ant", "k", "second"));
    assert_true(set(&s, "", "", ""));
    assert_true(session_set(store, &config, &s.id, odd, odd, binary));
    assert_true(set(&s, "bare", "k", "v"));
    assert_true(set(&s, "bare", "k", NULL));
    save();
    restart(0);
    assert_int_equal(store_count(store), 2);
    assert_int_equal(logged(": 2 sessions"), 1);
    assert_true(alive(&s));
    assert_true(alive(&empty));
    assert_string_equal(get(&s, "zebra", "k"), "first");
    assert_string_equal(get(&s, "ant", "k"), "second");
    assert_string_equal(get(&s, "*", "k"), "first");
    assert_string_equal(get(&s, "", ""), "");
    assert_true(session_has_realm(store, &s.id, b("bare")));
    assert_null(get(&s, "bare", "k"));
    assert_false(session_has_realm(store, &empty.id, b("*")));
    struct buffer value = {0};
    assert_true(session_get(store, &s.id, odd, odd, &value));
    assert_int_equal(value.len, binary.len);
    assert_memory_equal(value.data, binary.data, binary.len);
    buffer_free(&value);
}

static void what_counts_against_the_size_is_as_before(void **state)
{
    (void)state;
    struct one s = start();
    assert_true(set(&s, "r", "k", "0123456789"));
    config.session_max_size = REALM_OVERHEAD + 1 + VARIABLE_OVERHEAD + 1 + 10;
    save();
    restart(0);
    assert_false(set(&s, "r", "k", "0123456789."));
    assert_true(set(&s, "r", "k", "9876543210"));
}

static void a_thousand_sessions_of_all_sizes_come_back(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    static struct one all[COUNT];
    char *text = calloc(60001, 1), name[16];
    assert_non_null(text);
    memset(text, 'x', 60000);
    for (int i = 0; i < COUNT; i++) {
        all[i] = start();
        size_t len = i % 100 == 0 ? 60000 : (size_t)i;
        for (int n = 0; n < i % 7; n++) {
            snprintf(name, sizeof name, "%d", n);
            text[len / 7] = '\0';
            assert_true(set(&all[i], name, "k", text));
            text[len / 7] = 'x';
        }
    }
    save();
    restart(0);
    assert_int_equal(store_count(store), COUNT);
    for (int i = 0; i < COUNT; i++) {
        assert_true(alive(&all[i]));
        size_t len = i % 100 == 0 ? 60000 : (size_t)i;
        for (int n = 0; n < 7; n++) {
            snprintf(name, sizeof name, "%d", n);
            const char *value = get(&all[i], name, "k");
            assert_int_equal(value != NULL, n < i % 7);
            assert_true(value == NULL || strlen(value) == len / 7);
        }
    }
    free(text);
}

static void the_client_must_match_after_a_restart_as_well(void **state)
{
    (void)state;
    struct one s = start();
    struct session_id id;
    struct session_client other = {"198.51.100.7", client.user_agent, "fr"};
    save();
    restart(0);
    assert_false(session_find(store, &config, s.key, &other, &id, NULL));
    assert_true(alive(&s));
}

static void the_time_away_counts(void **state)
{
    (void)state;
    struct one s = start(), used;
    pass(HOUR / 2);
    used = start();
    save();
    restart(HOUR / 2 - 1);
    assert_int_equal(store_count(store), 2);
    pass(1);
    assert_false(alive(&s));
    assert_true(alive(&used));
    save();
    restart(HOUR);
    assert_int_equal(store_count(store), 0);
}

static void the_greatest_age_counts_over_restarts(void **state)
{
    (void)state;
    struct one s = start();
    config.session_time = 0;
    for (int i = 0; i < 23; i++) {
        pass(HOUR / 2);
        save();
        restart(HOUR / 2);
        assert_true(alive(&s));
    }
    save();
    restart(HOUR - 1);
    assert_true(alive(&s));
    pass(1);
    assert_false(alive(&s));
}

/* As on a machine without a battery for its clock, before it has asked for the time. */
static void a_wall_clock_that_is_behind_ends_no_session(void **state)
{
    (void)state;
    struct one s = start(), other = start();
    pass(HOUR / 2);
    save();
    restart(-1000 * HOUR);
    assert_true(alive(&s));
    pass(HOUR / 2);
    assert_true(alive(&s));
    assert_false(alive(&other));
}

static void an_endless_age_is_written_so_that_it_can_be_read(void **state)
{
    (void)state;
    struct one s = start();
    config.session_time = config.session_max_age = 0;
    monotonic += ((int64_t)1 << 53) + 1;
    save();
    restart(0);
    assert_true(alive(&s));
    monotonic += 1;
    save();
    restart(0);
    assert_true(alive(&s));
}

static void no_more_than_the_bound_come_back(void **state)
{
    (void)state;
    struct one all[100];
    for (int i = 0; i < 100; i++) {
        all[i] = start();
        pass(1);
    }
    save();
    config.session_max_count = 30;
    restart(0);
    assert_int_equal(store_count(store), 30);
    for (int i = 0; i < 100; i++)
        assert_int_equal(alive(&all[i]), i >= 70);
}

static void new_sessions_are_made_after_a_restart(void **state)
{
    (void)state;
    struct one s = start();
    save();
    restart(0);
    struct one other = start();
    assert_true(set(&other, "r", "k", "v"));
    save();
    restart(0);
    assert_true(alive(&s));
    assert_true(alive(&other));
}

/* -- Changes while it is written -- */

/* A save asks for the time between any two steps, with no lock held: there others come in
 * between. */
enum { FEW = 1000, MORE = 25, ROUNDS = 20, MANY = FEW + MORE * ROUNDS };

static struct one many[MANY];
static struct one newest[16]; /* of each shard, which is the hash modulo 16 */
static int made;
static int times_asked;
static bool meddling;
static void (*meddle)(void);

static int64_t meddling_monotonic(void)
{
    times_asked++;
    if (!meddling) { /* what it does asks for the time as well */
        meddling = true;
        meddle();
        meddling = false;
    }
    return monotonic;
}

static void make(int count)
{
    for (; count > 0; count--, made++) {
        char text[16];
        snprintf(text, sizeof text, "%d", made);
        many[made] = start();
        assert_true(set(&many[made], "r", "n", text));
        newest[many[made].id.hash[31] % 16] = many[made];
    }
}

static void do_nothing(void)
{
}

static void touch_some(void)
{
    for (int i = 0; i < 6; i++)
        assert_true(alive(&many[rand() % made]));
}

static void touch_newest(void)
{
    for (int i = 0; i < 16; i++)
        assert_true(newest[i].key[0] == '\0' || alive(&newest[i]));
}

static void regenerate_some(void)
{
    for (int i = 0; i < 8; i++) {
        struct one *s = &many[rand() % made];
        assert_true(session_regenerate(store, &config, &s->id, s->key, NULL));
    }
}

/* The first ones are deleted and made anew, with the same data. */
static void replace_some(void)
{
    for (int i = 0; i < 6; i++) {
        int n = rand() % (FEW / 2);
        char text[16];
        snprintf(text, sizeof text, "%d", n);
        assert_true(session_delete(store, &many[n].id));
        many[n] = start();
        assert_true(set(&many[n], "r", "n", text));
    }
}

static int copies[MANY];

static bool count_copy(struct session_record *record, void *arg)
{
    (void)arg;
    const struct variable *v = realms_get(&record->data, b("r"), b("n"));
    if (v != NULL) {
        char text[16] = "";
        memcpy(text, realm_variable_value(v).data, v->value_len);
        copies[atoi(text)]++;
    }
    return true;
}

/* Saves while the others meddle: sessions from number `from` on are in the file once. */
static void save_while(void (*others)(void), int from)
{
    struct session_head head;
    srand(3);
    made = 0;
    memset(newest, 0, sizeof newest);
    make(FEW);
    for (int round = 0; round < ROUNDS; round++) {
        make(MORE);
        times_asked = 0;
        meddle = others;
        moment_set_clocks(meddling_monotonic, fake_wall);
        save();
        moment_set_clocks(fake_monotonic, fake_wall);
        memset(copies, 0, sizeof copies);
        assert_true(file_read(file_path, &head, count_copy, NULL));
        for (int i = from; i < made; i++)
            assert_int_equal(copies[i], 1);
    }
}

static void sessions_in_use_are_written_once(void **state)
{
    (void)state;
    save_while(touch_some, 0);
}

static void the_newest_sessions_are_written_once(void **state)
{
    (void)state;
    save_while(touch_newest, 0);
}

static void sessions_with_new_keys_are_written_once(void **state)
{
    (void)state;
    save_while(regenerate_some, 0);
}

static void others_that_come_and_go_do_no_harm(void **state)
{
    (void)state;
    save_while(replace_some, FEW / 2);
}

static void a_quiet_save_looks_at_each_session_once(void **state)
{
    (void)state;
    save_while(do_nothing, 0);
    assert_true(times_asked < MANY / 16 + 2 * 16 + 10);
    regenerate_some();
    times_asked = 0;
    moment_set_clocks(meddling_monotonic, fake_wall);
    save();
    assert_true(times_asked < MANY / 16 + 2 * 16 + 10);
}

/* -- When it is written -- */

static bool written(void)
{
    bool there = exists("");
    if (there)
        assert_int_equal(unlink(file_path), 0);
    return there;
}

static bool autosaves(int64_t ms)
{
    pass(ms);
    store_autosave(store, &config);
    return written();
}

static void a_change_is_written_within_ten_seconds(void **state)
{
    (void)state;
    assert_false(autosaves(HOUR));
    struct one s = start();
    assert_true(autosaves(0));
    assert_false(autosaves(60000));
    assert_true(set(&s, "r", "k", "v"));
    assert_true(autosaves(0));
    assert_true(set(&s, "r", "k", "w"));
    assert_false(autosaves(9999));
    assert_true(autosaves(1));
    assert_true(set(&s, "r", "k", NULL));
    assert_true(autosaves(10000));
    assert_true(session_regenerate(store, &config, &s.id, s.key, NULL));
    assert_true(autosaves(10000));
    assert_true(set(&s, "r", "k", "v"));
    assert_true(autosaves(10000));
    assert_true(session_clear(store, &s.id, b("r")));
    assert_true(autosaves(10000));
    assert_true(session_delete(store, &s.id));
    assert_true(autosaves(10000));
    assert_false(autosaves(10000));
}

static void a_mere_use_is_written_within_five_minutes(void **state)
{
    (void)state;
    struct one s = start();
    assert_true(autosaves(10000));
    assert_true(alive(&s));
    assert_null(get(&s, "r", "k"));
    assert_false(autosaves(299999));
    assert_true(autosaves(1));
    assert_false(autosaves(600000));
}

static int64_t slow_monotonic(void)
{
    return monotonic += 500;
}

static void a_slow_disk_is_written_to_more_rarely(void **state)
{
    (void)state;
    struct one s = start();
    moment_set_clocks(slow_monotonic, fake_wall);
    save();
    moment_set_clocks(fake_monotonic, fake_wall);
    assert_true(written());
    assert_true(set(&s, "r", "k", "v"));
    assert_false(autosaves(100 * 500 - 1));
    assert_true(autosaves(HOUR));
}

static void a_failure_is_tried_again_but_logged_once_a_minute(void **state)
{
    (void)state;
    char path[160];
    snprintf(path, sizeof path, "%s/missing/sessions", directory);
    start();
    config.session_file = path;
    for (int i = 0; i < 6; i++)
        assert_false(autosaves(10000));
    assert_int_equal(logged("cannot be written"), 1);
    assert_false(autosaves(10000));
    assert_int_equal(logged("cannot be written"), 2);
    config.session_file = file_path;
    assert_true(autosaves(10000));
    assert_int_equal(logged("is written again"), 1);
    assert_false(autosaves(10000));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_file, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions_come_back_with_all_they_had),
        TEST(what_counts_against_the_size_is_as_before),
        TEST(a_thousand_sessions_of_all_sizes_come_back),
        TEST(the_client_must_match_after_a_restart_as_well),
        TEST(the_time_away_counts),
        TEST(the_greatest_age_counts_over_restarts),
        TEST(a_wall_clock_that_is_behind_ends_no_session),
        TEST(an_endless_age_is_written_so_that_it_can_be_read),
        TEST(no_more_than_the_bound_come_back),
        TEST(new_sessions_are_made_after_a_restart),
        TEST(sessions_in_use_are_written_once),
        TEST(the_newest_sessions_are_written_once),
        TEST(sessions_with_new_keys_are_written_once),
        TEST(others_that_come_and_go_do_no_harm),
        TEST(a_quiet_save_looks_at_each_session_once),
        TEST(a_change_is_written_within_ten_seconds),
        TEST(a_mere_use_is_written_within_five_minutes),
        TEST(a_slow_disk_is_written_to_more_rarely),
        TEST(a_failure_is_tried_again_but_logged_once_a_minute),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
