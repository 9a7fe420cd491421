/* SessionFile: what comes back, when it is written, and that no bytes in it do harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/file.h"
#include "tests/unit/session_fixture.h"

static int set_up_file(void **state)
{
    int result = set_up(state);
    config.session_file = file_path;
    return result;
}

/* As after `ms` milliseconds without the daemon: the machine's clock may begin anew. */
static void restart(int64_t ms)
{
    store_destroy(store);
    monotonic = 100;
    wall += ms;
    store = store_create(&config);
    assert_non_null(store);
}

static void save(void)
{
    assert_true(store_save(store, &config));
}

static bool exists(const char *suffix)
{
    char path[128];
    snprintf(path, sizeof path, "%s%s", file_path, suffix);
    return access(path, F_OK) == 0;
}

static void write_whole(const char *path, const void *data, size_t len)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(path, 0600), 0);
}

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

/* -- The file -- */

static void nobody_else_may_read_it(void **state)
{
    (void)state;
    struct stat st;
    mode_t mask = umask(0);
    save();
    umask(mask);
    assert_int_equal(stat(file_path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_false(exists(".new"));
}

static void it_holds_no_key(void **state)
{
    (void)state;
    struct one s = start();
    size_t len;
    char hex[SESSION_TAG_SIZE];
    session_tag(&s.id, hex);
    save();
    char *data = read_whole(file_path, &len);
    assert_non_null(memmem(data, len, &s.id, sizeof s.id));
    assert_null(memmem(data, len, s.key, 4));
    assert_null(memmem(data, len, client.address, strlen(client.address)));
    free(data);
}

static void without_a_name_nothing_is_written(void **state)
{
    (void)state;
    config.session_file = "";
    start();
    save();
    store_autosave(store, &config);
    assert_false(exists(""));
}

static void a_leftover_of_a_crash_is_no_obstacle(void **state)
{
    (void)state;
    char path[128], target[128];
    snprintf(path, sizeof path, "%s.new", file_path);
    snprintf(target, sizeof target, "%s.other", file_path);
    write_whole(target, "precious", 8);
    assert_int_equal(symlink(target, path), 0);
    struct one s = start();
    save();
    size_t len;
    char *data = read_whole(target, &len);
    assert_string_equal(data, "precious");
    free(data);
    restart(0);
    assert_true(alive(&s));
}

static void what_cannot_be_written_is_logged_and_leaves_the_old_file(void **state)
{
    (void)state;
    struct one s = start();
    save();
    char path[160], *whole = file_path;
    snprintf(path, sizeof path, "%s/missing/sessions", directory);
    config.session_file = path;
    assert_false(store_save(store, &config));
    assert_int_equal(logged("cannot be written: No such file or directory"), 1);
    config.session_file = directory;
    assert_false(store_save(store, &config));
    assert_int_equal(logged("something else than a file"), 1);
    config.session_file = whole;
    restart(0);
    assert_true(alive(&s));
}

static void something_else_than_a_file_is_left_alone(void **state)
{
    (void)state;
    struct stat st;
    start();
    assert_int_equal(mkfifo(file_path, 0600), 0);
    restart(0);
    assert_int_equal(logged("is not read: it is no regular file"), 1);
    assert_false(store_save(store, &config));
    assert_int_equal(lstat(file_path, &st), 0);
    assert_true(S_ISFIFO(st.st_mode));
}

static void a_file_that_others_may_write_is_not_believed(void **state)
{
    (void)state;
    struct one s = start();
    save();
    assert_int_equal(chmod(file_path, 0620), 0);
    restart(0);
    assert_false(alive(&s));
    assert_int_equal(logged("other users may write it"), 1);
    assert_true(exists(""));
}

static void no_file_is_nothing_to_speak_of(void **state)
{
    (void)state;
    restart(0);
    assert_int_equal(logged("SessionFile"), 0);
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

/* -- Damage -- */

/* The file of a few sessions, which the caller frees. */
static char *sample(size_t *len)
{
    for (int i = 0; i < 3; i++) {
        struct one s = start();
        assert_true(set(&s, "realm", "name", "value"));
        assert_true(set(&s, "realm", "other", "more"));
        assert_true(set(&s, "second", "name", ""));
    }
    save();
    return read_whole(file_path, len);
}

/* Reads the bytes as SessionFile: whether they were believed. */
static bool believed(const void *data, size_t len)
{
    write_whole(file_path, data, len);
    restart(0);
    bool aside = exists(".damaged");
    assert_int_equal(exists(""), !aside);
    assert_true(!aside || store_count(store) == 0);
    if (aside) {
        char path[128];
        snprintf(path, sizeof path, "%s.damaged", file_path);
        size_t kept;
        char *copy = read_whole(path, &kept);
        assert_int_equal(kept, len);
        assert_memory_equal(copy, data, len);
        free(copy);
        unlink(path);
    }
    return !aside;
}

static void a_file_cut_anywhere_is_set_aside(void **state)
{
    (void)state;
    size_t len;
    char *data = sample(&len);
    assert_true(believed(data, len));
    for (size_t cut = 0; cut < len; cut++)
        assert_false(believed(data, cut));
    assert_int_equal(logged("is damaged"), (int)len);
    free(data);
}

static void a_file_with_any_bit_changed_is_set_aside(void **state)
{
    (void)state;
    size_t len;
    char *data = sample(&len);
    for (size_t i = 0; i < len; i++) {
        char before = data[i];
        data[i] = (char)(before ^ (1 << i % 8));
        assert_false(believed(data, len));
        data[i] = before;
    }
    assert_true(believed(data, len));
    free(data);
}

static void a_file_with_more_behind_it_is_set_aside(void **state)
{
    (void)state;
    size_t len;
    char *data = sample(&len);
    data = realloc(data, len + 40);
    assert_non_null(data);
    memset(data + len, 0, 40);
    assert_false(believed(data, len + 1));
    assert_false(believed(data, len + 40));
    free(data);
}

static void sum_up(char *data, size_t len)
{
    if (len >= SHA256_SIZE)
        sha256(data, len - SHA256_SIZE, (unsigned char *)data + len - SHA256_SIZE);
}

static void another_version_is_named_in_the_log(void **state)
{
    (void)state;
    size_t len;
    char *data = sample(&len);
    data[18]++;
    sum_up(data, len);
    assert_false(believed(data, len));
    assert_int_equal(logged("it was written by another version; renamed"), 1);
    free(data);
}

/* Hostile numbers, with a sum that is right: believed or not, but never harmful. */
static void random_damage_under_a_right_sum_does_no_harm(void **state)
{
    (void)state;
    static const unsigned char numbers[] = {0, 1, 2, 0x7f, 0x80, 0xff, 'S', 'E', '*'};
    size_t len;
    char *data = sample(&len), *copy = malloc(len);
    int yes = 0, no = 0;
    assert_non_null(copy);
    srand(2);
    for (int i = 0; i < 3000; i++) {
        size_t size = rand() % 4 == 0 ? (size_t)rand() % len : len;
        memcpy(copy, data, size);
        for (int changes = rand() % 4; changes >= 0 && size > 0; changes--) {
            size_t at = (size_t)rand() % size;
            unsigned char value = numbers[(size_t)rand() % sizeof numbers];
            for (int run = rand() % 8; run >= 0 && at < size; run--)
                copy[at++] = (char)value;
        }
        sum_up(copy, size);
        *(believed(copy, size) ? &yes : &no) += 1;
    }
    assert_true(yes > 100 && no > 100);
    free(copy);
    free(data);
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

static void a_failure_is_tried_again_but_logged_once(void **state)
{
    (void)state;
    char path[160];
    snprintf(path, sizeof path, "%s/missing/sessions", directory);
    start();
    config.session_file = path;
    for (int i = 0; i < 5; i++)
        assert_false(autosaves(10000));
    assert_int_equal(logged("cannot be written"), 1);
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
        TEST(nobody_else_may_read_it),
        TEST(it_holds_no_key),
        TEST(without_a_name_nothing_is_written),
        TEST(a_leftover_of_a_crash_is_no_obstacle),
        TEST(what_cannot_be_written_is_logged_and_leaves_the_old_file),
        TEST(something_else_than_a_file_is_left_alone),
        TEST(a_file_that_others_may_write_is_not_believed),
        TEST(no_file_is_nothing_to_speak_of),
        TEST(sessions_in_use_are_written_once),
        TEST(sessions_with_new_keys_are_written_once),
        TEST(the_newest_sessions_are_written_once),
        TEST(others_that_come_and_go_do_no_harm),
        TEST(a_quiet_save_looks_at_each_session_once),
        TEST(a_file_cut_anywhere_is_set_aside),
        TEST(a_file_with_any_bit_changed_is_set_aside),
        TEST(a_file_with_more_behind_it_is_set_aside),
        TEST(another_version_is_named_in_the_log),
        TEST(random_damage_under_a_right_sum_does_no_harm),
        TEST(a_change_is_written_within_ten_seconds),
        TEST(a_mere_use_is_written_within_five_minutes),
        TEST(a_slow_disk_is_written_to_more_rarely),
        TEST(a_failure_is_tried_again_but_logged_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
