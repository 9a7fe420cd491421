/* The file itself: who may read and write it, what is in it, and that no bytes in it do
 * harm. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "store/file.h"
#include "tests/unit/saved_fixture.h"

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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up_file, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nobody_else_may_read_it),
        TEST(it_holds_no_key),
        TEST(without_a_name_nothing_is_written),
        TEST(a_leftover_of_a_crash_is_no_obstacle),
        TEST(what_cannot_be_written_is_logged_and_leaves_the_old_file),
        TEST(something_else_than_a_file_is_left_alone),
        TEST(a_file_that_others_may_write_is_not_believed),
        TEST(no_file_is_nothing_to_speak_of),
        TEST(a_file_cut_anywhere_is_set_aside),
        TEST(a_file_with_any_bit_changed_is_set_aside),
        TEST(a_file_with_more_behind_it_is_set_aside),
        TEST(another_version_is_named_in_the_log),
        TEST(random_damage_under_a_right_sum_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
