/* Reading files whole while others write them, and telling whether they changed. */
#include "tests/unit/source_fixture.h"

#include "lua/fingerprint.h"

/* -- Reading -- */

static void text_is_appended(void **unused)
{
    (void)unused;
    struct source_ref ref;
    struct buffer text = {0};
    assert_true(buffer_puts(&text, "-- "));
    assert_int_equal(source_read(path, "", &ref, &text), 0);
    assert_int_equal(text.len, 11);
    assert_memory_equal(text.data, "-- return 1", 11);
    buffer_free(&text);
    source_release(&ref);
}

static void only_regular_files_are_read(void **unused)
{
    (void)unused;
    assert_int_equal(error_of(directory, ""), EISDIR);
    assert_int_equal(error_of("/dev/null", ""), EACCES);
    assert_int_equal(mkfifo(other, 0666), 0);
    assert_int_equal(error_of(other, ""), EACCES);
    assert_int_equal(unlink(other), 0);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, other);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(error_of(other, ""), EACCES);
    close(fd);
}

static void a_missing_file_is_no_source_and_costs_no_pause(void **unused)
{
    (void)unused;
    assert_int_equal(error_of(other, ""), ENOENT);
    char below[128];
    snprintf(below, sizeof below, "%s/x.lua", path);
    assert_int_equal(error_of(below, ""), ENOTDIR);
    assert_int_equal(atomic_load(&pauses), 0);
}

static void files_over_16_mib_are_refused(void **unused)
{
    (void)unused;
    assert_int_equal(truncate(path, 16 * 1024 * 1024 + 1), 0);
    assert_int_equal(error_of(path, ""), EFBIG);
    assert_int_equal(truncate(path, 16 * 1024 * 1024), 0);
    assert_int_equal(error_of(path, ""), 0);
}

static void no_descriptor_is_left_open(void **unused)
{
    (void)unused;
    int before = dup(0);
    close(before);
    assert_int_equal(error_of(path, ""), 0);
    assert_int_equal(error_of(path, "/nowhere"), EACCES);
    assert_int_equal(error_of(directory, ""), EISDIR);
    int after = dup(0);
    close(after);
    assert_int_equal(before, after);
}

static int unreadable(void)
{
    struct source_ref ref;
    struct buffer text = {0};
    if (getuid() == 0 && setuid(65534) != 0)
        return 77;
    int wrong = source_read(path, "", &ref, &text) != EACCES;
    FILE *f = fopen(other, "w");
    wrong += f == NULL || fputs("return 2", f) < 0 || fclose(f) != 0;
    wrong += source_read(other, "", &ref, &text) != 0;
    wrong += chmod(other, 0) != 0;
    wrong += source_sweep(true) != 1;
    wrong += source_is_current(&ref);
    wrong += source_sweep(true) != 0;
    source_release(&ref);
    wrong += source_read(other, "", &ref, &text) != EACCES;
    buffer_free(&text);
    return wrong;
}

static void an_unreadable_file_is_eacces_and_counts_as_changed_once(void **unused)
{
    (void)unused;
    assert_int_equal(chmod(path, 0), 0);
    in_a_child(unreadable);
}

/* -- Time stamps that hide a change -- */

/* Two versions under the same time stamp, as a coarse clock shows them. */
static struct source_ref read_then_edit_within_a_tick(void)
{
    atomic_store(&coarse, true);
    for (;;) {
        struct stat before, after;
        files_write(path, "return 1");
        struct source_ref ref = read_file(path, "return 1");
        assert_int_equal(stat(path, &before), 0);
        files_write(path, "return 2");
        assert_int_equal(stat(path, &after), 0);
        if (before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
            before.st_ctim.tv_sec == after.st_ctim.tv_sec)
            return ref;
        source_release(&ref);
    }
}

static void a_change_within_one_tick_is_seen(void **unused)
{
    (void)unused;
    for (int checksum = 0; checksum < 2; checksum++) {
        struct source_ref ref = read_then_edit_within_a_tick();
        assert_stale(&ref, checksum == 1);
        source_release(&ref);
    }
}

static void a_change_within_one_tick_is_seen_after_a_sweep(void **unused)
{
    (void)unused;
    atomic_store(&coarse, true);
    struct source_ref ref;
    for (;;) {
        struct stat before, after;
        files_write(path, "return 1");
        ref = read_file(path, "return 1");
        assert_int_equal(stat(path, &before), 0);
        assert_unchanged(&ref, true);
        files_write(path, "return 2");
        assert_int_equal(stat(path, &after), 0);
        if (before.st_ctim.tv_sec == after.st_ctim.tv_sec)
            break;
        source_release(&ref);
    }
    assert_stale(&ref, true);
    source_release(&ref);
}

static void old_times_are_trusted_and_the_file_is_not_read_again(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1);
    struct source_ref ref = read_file(path, "return 1");
    int reads = atomic_load(&fstats);
    for (int i = 0; i < 3; i++)
        assert_unchanged(&ref, true);
    assert_int_equal(atomic_load(&fstats), reads);
    source_release(&ref);
}

static void a_file_grown_old_is_not_read_again(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    int reads = atomic_load(&fstats);
    assert_unchanged(&ref, true);
    assert_true(atomic_load(&fstats) > reads); /* recent times are not trusted */
    atomic_store(&years_ago, 1);
    assert_unchanged(&ref, true); /* read once more, as the times differ */
    reads = atomic_load(&fstats);
    assert_unchanged(&ref, true);
    assert_int_equal(atomic_load(&fstats), reads);
    source_release(&ref);
}

/* -- Readers and writers at the same time -- */

static void edit_at_second_fstat(int call)
{
    if (call == 2)
        files_write(path, "return 2");
}

static void a_change_during_reading_is_read_again(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1); /* no other reason to look twice */
    at_fstat = edit_at_second_fstat;
    struct source_ref ref = read_file(path, "return 2");
    assert_unchanged(&ref, true);
    source_release(&ref);
}

static void rename_over_at_second_fstat(int call)
{
    if (call != 2)
        return;
    files_write(other, "return 2");
    assert_int_equal(rename(other, path), 0);
}

static void a_rename_during_reading_is_read_again(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1); /* no other reason to look twice */
    at_fstat = rename_over_at_second_fstat;
    struct source_ref ref = read_file(path, "return 2");
    source_release(&ref);
}

static void grow_at_each_fstat(int call)
{
    (void)call;
    int fd = open(path, O_WRONLY | O_APPEND);
    assert_int_equal(write(fd, " ", 1), 1);
    close(fd);
}

static void a_file_that_never_rests_is_read_all_the_same(void **unused)
{
    (void)unused;
    struct source_ref ref;
    struct buffer text = {0};
    at_fstat = grow_at_each_fstat;
    assert_int_equal(source_read(path, "", &ref, &text), 0);
    assert_in_range(atomic_load(&pauses), 1, 300);
    assert_memory_equal(text.data, "return 1", 8);
    at_fstat = NULL;
    buffer_free(&text);
    assert_stale(&ref, true);
    source_release(&ref);
}

static void write_at_first_pause(int pause)
{
    if (pause == 1)
        files_write(path, "return 2");
}

static void a_file_just_truncated_is_given_time_to_fill(void **unused)
{
    (void)unused;
    files_write(path, "");
    at_pause = write_at_first_pause;
    struct source_ref ref = read_file(path, "return 2");
    source_release(&ref);
}

static void a_file_removed_and_made_anew_is_given_time(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    atomic_store(&pauses, 0);
    assert_int_equal(unlink(path), 0);
    at_pause = write_at_first_pause;
    struct source_ref newer = read_file(path, "return 2");
    assert_false(source_is_current(&ref));
    atomic_store(&pauses, 0);
    assert_int_equal(unlink(path), 0);
    assert_unchanged(&newer, true); /* a sweep waits, too */
    source_release(&ref);
    source_release(&newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_is_appended),
        TEST(only_regular_files_are_read),
        TEST(a_missing_file_is_no_source_and_costs_no_pause),
        TEST(files_over_16_mib_are_refused),
        TEST(no_descriptor_is_left_open),
        TEST(an_unreadable_file_is_eacces_and_counts_as_changed_once),
        TEST(a_change_within_one_tick_is_seen),
        TEST(a_change_within_one_tick_is_seen_after_a_sweep),
        TEST(old_times_are_trusted_and_the_file_is_not_read_again),
        TEST(a_file_grown_old_is_not_read_again),
        TEST(a_change_during_reading_is_read_again),
        TEST(a_rename_during_reading_is_read_again),
        TEST(a_file_that_never_rests_is_read_all_the_same),
        TEST(a_file_just_truncated_is_given_time_to_fill),
        TEST(a_file_removed_and_made_anew_is_given_time),
    };
    alarm(300); /* a hang ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
