/* The table of sources, on real files: who shares one, and who learns of a change. */
#include "tests/unit/source_fixture.h"

static void readers_share_a_source_that_dies_with_the_last(void **unused)
{
    (void)unused;
    struct source_ref a = read_file(path, "return 1");
    struct source_ref b = read_file(path, "return 1");
    assert_ptr_equal(a.source, b.source);
    assert_int_equal(source_count(), 1);
    struct source_ref c = source_retain(&b);
    source_release(&a);
    source_release(&b);
    assert_string_equal(source_path(&c), path);
    assert_true(source_is_current(&c));
    source_release(&c);
    assert_int_equal(source_count(), 0);
    source_release(&c); /* released already: nothing */
}

/* -- Changes -- */

static void nothing_happens_to_what_does_not_change(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    for (int i = 0; i < 3; i++) {
        assert_unchanged(&ref, true);
        assert_unchanged(&ref, false);
    }
    source_release(&ref);
}

static void an_edit_is_seen_once(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    files_write(path, "return 1234");
    assert_stale(&ref, true);
    struct source_ref again = read_file(path, "return 1234");
    assert_false(source_is_current(&ref));
    assert_unchanged(&again, true);
    source_release(&ref);
    source_release(&again);
}

static void each_edit_is_seen(void **unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        char text[32], next[32];
        snprintf(text, sizeof text, "return %d", 1000 + i);
        snprintf(next, sizeof next, "return %d", 1001 + i); /* of the same size */
        files_write(path, text);
        struct source_ref ref = read_file(path, text);
        files_write(path, next);
        assert_stale(&ref, i % 2 == 0);
        source_release(&ref);
    }
}

static void an_edit_with_its_old_time_put_back_is_seen(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1); /* so that times decide, not the content */
    for (int checksum = 0; checksum < 2; checksum++) {
        files_write(path, "return 1");
        set_mtime(path, 1000000000);
        struct source_ref ref = read_file(path, "return 1");
        files_write(path, "return 2");
        set_mtime(path, 1000000000);
        assert_stale(&ref, checksum == 1);
        source_release(&ref);
    }
}

static void a_file_renamed_over_with_an_older_time_is_seen(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1);
    for (int checksum = 0; checksum < 2; checksum++) {
        files_write(path, "return 1");
        struct source_ref ref = read_file(path, "return 1");
        files_write(other, "return 2");
        set_mtime(other, 1000000000);
        assert_int_equal(rename(other, path), 0);
        assert_stale(&ref, checksum == 1);
        source_release(&ref);
    }
}

/* The times are old and the same, and so is the size: only the inode differs. */
static void a_file_renamed_over_with_the_same_times_is_seen(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1);
    atomic_store(&coarse, true);
    for (bool alike = false; !alike;) {
        struct stat before, after;
        files_write(path, "return 1");
        files_write(other, "return 2");
        struct source_ref ref = read_file(path, "return 1");
        assert_int_equal(stat(path, &before), 0);
        assert_int_equal(rename(other, path), 0);
        assert_int_equal(stat(path, &after), 0);
        alike = before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
                before.st_ctim.tv_sec == after.st_ctim.tv_sec;
        assert_stale(&ref, true);
        source_release(&ref);
    }
}

static void a_deleted_file_is_seen_once_and_can_come_back(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    assert_int_equal(unlink(path), 0);
    assert_stale(&ref, true);
    assert_int_equal(error_of(path, ""), ENOENT);
    files_write(path, "return 1");
    assert_int_equal(source_sweep(true), 0);
    struct source_ref again = read_file(path, "return 1");
    assert_false(source_is_current(&ref));
    assert_unchanged(&again, true);
    source_release(&ref);
    source_release(&again);
}

static void a_directory_in_its_place_is_seen(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_stale(&ref, true);
    source_release(&ref);
}

static void a_touch_changes_nothing_with_checksums(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    set_mtime(path, 1000000000);
    assert_unchanged(&ref, true);
    assert_unchanged(&ref, false); /* the new times are known now */
    files_write(other, "return 1");
    assert_int_equal(rename(other, path), 0);
    assert_unchanged(&ref, true);
    source_release(&ref);
}

static void a_touch_counts_without_checksums(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    set_mtime(path, 1000000000);
    /* Another reader must not hide the touch from the sweep. */
    struct source_ref meanwhile = read_file(path, "return 1");
    assert_stale(&ref, false);
    source_release(&ref);
    source_release(&meanwhile);
}

static void a_reader_who_meets_a_change_tells_the_others(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    files_write(path, "return 2");
    unsigned epoch = source_epoch();
    struct source_ref newer = read_file(path, "return 2");
    assert_int_not_equal(source_epoch(), epoch);
    assert_false(source_is_current(&ref));
    assert_unchanged(&newer, true);
    assert_unchanged(&newer, false);
    source_release(&ref);
    source_release(&newer);
}

static void one_change_leaves_other_sources_alone(void **unused)
{
    (void)unused;
    files_write(other, "return 5");
    struct source_ref a = read_file(path, "return 1"), b = read_file(other, "return 5");
    files_write(path, "return 2");
    assert_stale(&a, true);
    assert_true(source_is_current(&b));
    source_release(&a);
    source_release(&b);
}

/* -- Directories, and what is not there -- */

static void another_directory_behind_a_link_is_seen(void **unused)
{
    (void)unused;
    char one[128], two[128];
    snprintf(one, sizeof one, "%s/1", directory);
    snprintf(two, sizeof two, "%s/2", directory);
    assert_int_equal(mkdir(one, 0755), 0);
    assert_int_equal(mkdir(two, 0755), 0);
    assert_int_equal(symlink(one, other), 0);
    struct source_ref ref;
    assert_int_equal(source_note_directory(other, other, &ref), 0);
    assert_true(source_is_current(&ref));
    char file[160];
    snprintf(file, sizeof file, "%s/x", one);
    files_write(file, "what is in it does not matter");
    assert_int_equal(source_sweep(false), 0);
    assert_int_equal(unlink(other), 0);
    assert_int_equal(source_sweep(false), 0); /* gone for the moment */
    assert_int_equal(symlink(two, other), 0);
    assert_stale(&ref, true);
    source_release(&ref);
    unlink(file);
    rmdir(one);
    rmdir(two);
}

/* A thread may enter a directory just before the link is switched. The next look at the
 * path makes its reference stale. */
static void a_directory_that_was_entered_by_another_name_is_compared(void **unused)
{
    (void)unused;
    struct source_ref entered, found;
    assert_int_equal(source_note_directory(directory, "/tmp", &entered), 0);
    assert_int_equal(source_note_directory(directory, directory, &found), 0);
    assert_false(source_is_current(&entered));
    assert_true(source_is_current(&found));
    source_release(&entered);
    source_release(&found);
    assert_int_equal(source_note_directory(path, path, &found), ENOTDIR);
    assert_int_equal(source_note_directory("/nonexistent", "/nonexistent", &found),
                     ENOENT);
}

static void a_file_that_was_not_there_is_seen_when_it_comes(void **unused)
{
    (void)unused;
    struct source_ref ref;
    assert_int_equal(source_note_absent(other, &ref), 0);
    assert_unchanged(&ref, true);
    files_write(other, "return 1");
    assert_stale(&ref, true);
    source_release(&ref);
    unlink(other);
    assert_int_equal(source_note_absent(other, &ref), 0);
    files_write(other, "return 1");
    struct source_ref read = read_file(other, "return 1"); /* or by the first reader */
    assert_false(source_is_current(&ref));
    source_release(&ref);
    source_release(&read);
}

static void a_file_known_to_be_absent_costs_no_pause(void **unused)
{
    (void)unused;
    struct source_ref ref;
    assert_int_equal(source_note_absent(other, &ref), 0);
    assert_int_equal(error_of(other, ""), ENOENT);
    assert_int_equal(atomic_load(&pauses), 0);
    source_release(&ref);
}

static void a_sweep_over_many_deleted_files_is_not_held_up(void **unused)
{
    (void)unused;
    enum { MANY = 300 };
    static struct source_ref refs[MANY];
    char name[128];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "%s/%d.lua", directory, i);
        files_write(name, "return 1");
        refs[i] = read_file(name, "return 1");
        assert_int_equal(unlink(name), 0);
    }
    assert_int_equal(source_count(), MANY);
    atomic_store(&pauses, 0);
    assert_int_equal(source_sweep(true), MANY);
    assert_in_range(atomic_load(&pauses), 1, 20);
    assert_int_equal(source_sweep(true), 0);
    for (int i = 0; i < MANY; i++) {
        assert_false(source_is_current(&refs[i]));
        source_release(&refs[i]);
    }
}

enum { THREADS = 8, NAMES = 10, ROUNDS = 200 };
static atomic_bool sweeping;

static void name_of(int i, char *name, size_t size)
{
    snprintf(name, size, "%s/t%d.lua", directory, i % NAMES);
}

static void *read_and_write(void *n)
{
    char name[128], text[32];
    int id = (int)(intptr_t)n, failed = 0;
    for (int i = 0; i < ROUNDS; i++) {
        struct source_ref ref;
        struct buffer b = {0};
        name_of(id + i * 7, name, sizeof name);
        if (i % 5 == 0) {
            snprintf(text, sizeof text, "%s.%d", name + strlen(name) - 6, id);
            char temporary[160];
            snprintf(temporary, sizeof temporary, "%s/new%d", directory, id);
            FILE *f = fopen(temporary, "w");
            failed += f == NULL || fputs(text, f) < 0 || fclose(f) != 0;
            failed += rename(temporary, name) != 0;
        }
        if (source_read(name, "", &ref, &b) != 0) {
            failed++;
            continue;
        }
        struct source_ref second = source_retain(&ref);
        source_is_current(&ref);
        source_release(&ref);
        source_release(&second);
        buffer_free(&b);
    }
    return (void *)(intptr_t)failed;
}

static void *sweep(void *unused)
{
    (void)unused;
    while (atomic_load(&sweeping))
        source_sweep(true);
    return NULL;
}

static void readers_writers_and_sweeps_together(void **unused)
{
    (void)unused;
    pthread_t threads[THREADS], sweeper;
    struct source_ref held[NAMES];
    char name[128];
    for (int i = 0; i < NAMES; i++) {
        name_of(i, name, sizeof name);
        files_write(name, "return 1");
        held[i] = read_file(name, "return 1");
    }
    atomic_store(&sweeping, true);
    assert_int_equal(pthread_create(&sweeper, NULL, sweep, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(
            pthread_create(&threads[i], NULL, read_and_write, (void *)(intptr_t)i), 0);
    for (int i = 0; i < THREADS; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    atomic_store(&sweeping, false);
    assert_int_equal(pthread_join(sweeper, NULL), 0);
    assert_int_equal(source_count(), NAMES);
    source_sweep(true);
    for (int i = 0; i < NAMES; i++) {
        assert_false(source_is_current(&held[i]));
        name_of(i, name, sizeof name);
        unlink(name);
        source_release(&held[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_share_a_source_that_dies_with_the_last),
        TEST(nothing_happens_to_what_does_not_change),
        TEST(an_edit_is_seen_once),
        TEST(each_edit_is_seen),
        TEST(an_edit_with_its_old_time_put_back_is_seen),
        TEST(a_file_renamed_over_with_an_older_time_is_seen),
        TEST(a_file_renamed_over_with_the_same_times_is_seen),
        TEST(a_deleted_file_is_seen_once_and_can_come_back),
        TEST(a_directory_in_its_place_is_seen),
        TEST(a_touch_changes_nothing_with_checksums),
        TEST(a_touch_counts_without_checksums),
        TEST(a_reader_who_meets_a_change_tells_the_others),
        TEST(one_change_leaves_other_sources_alone),
        TEST(another_directory_behind_a_link_is_seen),
        TEST(a_directory_that_was_entered_by_another_name_is_compared),
        TEST(a_file_that_was_not_there_is_seen_when_it_comes),
        TEST(a_file_known_to_be_absent_costs_no_pause),
        TEST(a_sweep_over_many_deleted_files_is_not_held_up),
        TEST(readers_writers_and_sweeps_together),
    };
    alarm(300); /* a hang ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
