/* The source room on real files, in a directory of its own. stat, fstat and nanosleep are
 * this program's: a file system with coarse or old time stamps, a change in the middle of
 * reading, and what happens while the reader pauses are all made to measure. */
#include "lua/source.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

static char directory[64], path[96], other[96];

/* -- The file system's moods -- */

static atomic_bool coarse;          /* times in steps of 2 s */
static atomic_int years_ago;        /* that all times seem to be earlier */
static atomic_int fstats, pauses;   /* calls so far */
static void (*at_fstat)(int call);  /* before the call */
static void (*at_pause)(int pause); /* instead of it; NULL: time does pass */

static void distort(struct stat *st)
{
    const int64_t year = 365 * 86400;
    st->st_mtim.tv_sec -= (time_t)(atomic_load(&years_ago) * year);
    st->st_ctim.tv_sec -= (time_t)(atomic_load(&years_ago) * year);
    if (atomic_load(&coarse)) {
        st->st_mtim = (struct timespec){st->st_mtim.tv_sec / 2 * 2, 0};
        st->st_ctim = (struct timespec){st->st_ctim.tv_sec / 2 * 2, 0};
    }
}

int stat(const char *restrict name, struct stat *restrict st)
{
    int result = fstatat(AT_FDCWD, name, st, 0);
    if (result == 0)
        distort(st);
    return result;
}

int fstat(int fd, struct stat *st)
{
    int call = atomic_fetch_add(&fstats, 1) + 1;
    if (at_fstat != NULL)
        at_fstat(call);
    int result = fstatat(fd, "", st, AT_EMPTY_PATH);
    if (result == 0)
        distort(st);
    return result;
}

int nanosleep(const struct timespec *time, struct timespec *left)
{
    int pause = atomic_fetch_add(&pauses, 1) + 1;
    if (at_pause == NULL)
        return clock_nanosleep(CLOCK_REALTIME, 0, time, left);
    at_pause(pause);
    return 0;
}

/* -- Helpers -- */

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(name, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void set_mtime(const char *name, time_t seconds)
{
    struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

static int set_up(void **unused)
{
    (void)unused;
    snprintf(directory, sizeof directory, "/tmp/source.XXXXXX");
    if (mkdtemp(directory) == NULL || chmod(directory, 0777) != 0)
        return -1;
    char *resolved = realpath(directory, NULL);
    snprintf(directory, sizeof directory, "%s", resolved);
    free(resolved);
    snprintf(path, sizeof path, "%s/a.lua", directory);
    snprintf(other, sizeof other, "%s/b.lua", directory);
    put_file(path, "return 1");
    atomic_store(&coarse, false);
    atomic_store(&years_ago, 0);
    atomic_store(&fstats, 0);
    atomic_store(&pauses, 0);
    at_fstat = NULL;
    at_pause = NULL;
    return 0;
}

static int tear_down(void **unused)
{
    (void)unused;
    unlink(path);
    unlink(other);
    if (rmdir(path) != 0 && errno != ENOENT)
        return -1;
    return rmdir(directory) != 0 || source_count() != 0;
}

static struct source_ref read_file(const char *name, const char *expected)
{
    struct source_ref ref;
    struct buffer text = {0};
    assert_int_equal(source_read(name, "", &ref, &text), 0);
    assert_int_equal(text.len, strlen(expected));
    assert_memory_equal(text.data, expected, text.len);
    buffer_free(&text);
    assert_true(source_is_current(&ref));
    return ref;
}

/* Also: that nothing is left of a failed reading. */
static int error_of(const char *name, const char *root)
{
    struct source_ref ref;
    struct buffer text = {0};
    assert_true(buffer_puts(&text, "before"));
    size_t known = source_count();
    int error = source_read(name, root, &ref, &text);
    if (error == 0)
        source_release(&ref);
    else
        assert_int_equal(text.len, 6);
    assert_int_equal(source_count(), known);
    buffer_free(&text);
    return error;
}

static void assert_stale(const struct source_ref *ref, bool use_checksum)
{
    unsigned epoch = source_epoch();
    assert_int_equal(source_sweep(use_checksum), 1);
    assert_false(source_is_current(ref));
    assert_int_not_equal(source_epoch(), epoch);
    assert_int_equal(source_sweep(use_checksum), 0);
}

static void assert_unchanged(const struct source_ref *ref, bool use_checksum)
{
    unsigned epoch = source_epoch();
    assert_int_equal(source_sweep(use_checksum), 0);
    assert_true(source_is_current(ref));
    assert_int_equal(source_epoch(), epoch);
}

/* -- Reading -- */

static void test_readers_share_a_source_that_dies_with_the_last(void **unused)
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

static void test_text_is_appended(void **unused)
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

static void test_only_regular_files_are_read(void **unused)
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

static void test_a_missing_file_is_no_source_and_costs_no_pause(void **unused)
{
    (void)unused;
    assert_int_equal(error_of(other, ""), ENOENT);
    char below[128];
    snprintf(below, sizeof below, "%s/x.lua", path);
    assert_int_equal(error_of(below, ""), ENOTDIR);
    assert_int_equal(atomic_load(&pauses), 0);
}

static void test_files_over_16_mib_are_refused(void **unused)
{
    (void)unused;
    assert_int_equal(truncate(path, 16 * 1024 * 1024 + 1), 0);
    assert_int_equal(error_of(path, ""), EFBIG);
    assert_int_equal(truncate(path, 16 * 1024 * 1024), 0);
    assert_int_equal(error_of(path, ""), 0);
}

static void test_no_descriptor_is_left_open(void **unused)
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

/* Runs body() in a child without privileges, or with a mount table of its own; it returns
 * how many of its expectations failed. */
static void in_a_child(int (*body)(void))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(body());
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77)
        skip();
    assert_int_equal(WEXITSTATUS(status), 0);
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

static void test_an_unreadable_file_is_eacces_and_counts_as_changed_once(void **unused)
{
    (void)unused;
    assert_int_equal(chmod(path, 0), 0);
    in_a_child(unreadable);
}

/* -- Confinement -- */

static char inside[80], outside[80], sub[80];

static int set_up_tree(void **unused)
{
    if (set_up(unused) != 0)
        return -1;
    snprintf(sub, sizeof sub, "%s/root", directory);
    snprintf(inside, sizeof inside, "%s/root/in.lua", directory);
    snprintf(outside, sizeof outside, "%s/rootless", directory);
    if (mkdir(sub, 0755) != 0)
        return -1;
    put_file(inside, "return 2");
    put_file(outside, "return 3");
    return 0;
}

static int tear_down_tree(void **unused)
{
    char link[96];
    snprintf(link, sizeof link, "%s/link.lua", sub);
    unlink(link);
    unlink(inside);
    unlink(outside);
    rmdir(sub);
    return tear_down(unused);
}

static void swap_link(int call)
{
    char name[96];
    snprintf(name, sizeof name, "%s/link.lua", sub);
    if (call == 1 && (unlink(name) != 0 || symlink("in.lua", name) != 0))
        abort();
}

/* What counts is the file that was opened, not what its name means a moment later. */
static int error_of_swapped_link(void)
{
    char name[96];
    snprintf(name, sizeof name, "%s/link.lua", sub);
    atomic_store(&fstats, 0);
    at_fstat = swap_link;
    int error = symlink(path, name) != 0 ? -1 : error_of(name, sub);
    at_fstat = NULL;
    return error;
}

static int confinement_errors(void)
{
    char name[128], slash[96];
    snprintf(slash, sizeof slash, "%s//", sub);
    int wrong = error_of(inside, sub) != 0;
    wrong += error_of(inside, slash) != 0;
    wrong += error_of(inside, "/") != 0;
    wrong += error_of(inside, directory) != 0;
    wrong +=
        error_of(outside, sub) != EACCES; /* though its name begins with the root's */
    wrong += error_of(path, sub) != EACCES;
    snprintf(name, sizeof name, "%s/../a.lua", sub);
    wrong += error_of(name, sub) != EACCES;
    snprintf(name, sizeof name, "%s/../root/in.lua", sub);
    wrong += error_of(name, sub) != 0;
    snprintf(name, sizeof name, "%s/link.lua", sub);
    wrong += symlink(path, name) != 0;
    wrong += error_of(name, sub) != EACCES;
    wrong += unlink(name) != 0 || symlink("in.lua", name) != 0;
    wrong += error_of(name, sub) != 0;
    wrong += unlink(name) != 0;
    wrong += error_of_swapped_link() != EACCES;
    return wrong;
}

static void test_a_root_confines_through_links_and_dots(void **unused)
{
    (void)unused;
    assert_int_equal(confinement_errors(), 0);
}

static int without_proc(void)
{
    if (unshare(CLONE_NEWNS) != 0 ||
        mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", "/proc", "tmpfs", 0, "") != 0)
        return 77;
    return confinement_errors();
}

static void test_a_root_confines_without_proc(void **unused)
{
    (void)unused;
    in_a_child(without_proc);
}

/* -- Changes -- */

static void test_nothing_happens_to_what_does_not_change(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    for (int i = 0; i < 3; i++) {
        assert_unchanged(&ref, true);
        assert_unchanged(&ref, false);
    }
    source_release(&ref);
}

static void test_an_edit_is_seen_once(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    put_file(path, "return 1234");
    assert_stale(&ref, true);
    struct source_ref again = read_file(path, "return 1234");
    assert_false(source_is_current(&ref));
    assert_unchanged(&again, true);
    source_release(&ref);
    source_release(&again);
}

static void test_each_edit_is_seen(void **unused)
{
    (void)unused;
    for (int i = 0; i < 20; i++) {
        char text[32], next[32];
        snprintf(text, sizeof text, "return %d", 1000 + i);
        snprintf(next, sizeof next, "return %d", 1001 + i); /* of the same size */
        put_file(path, text);
        struct source_ref ref = read_file(path, text);
        put_file(path, next);
        assert_stale(&ref, i % 2 == 0);
        source_release(&ref);
    }
}

static void test_an_edit_with_its_old_time_put_back_is_seen(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1); /* so that times decide, not the content */
    for (int checksum = 0; checksum < 2; checksum++) {
        put_file(path, "return 1");
        set_mtime(path, 1000000000);
        struct source_ref ref = read_file(path, "return 1");
        put_file(path, "return 2");
        set_mtime(path, 1000000000);
        assert_stale(&ref, checksum == 1);
        source_release(&ref);
    }
}

static void test_a_file_renamed_over_with_an_older_time_is_seen(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1);
    for (int checksum = 0; checksum < 2; checksum++) {
        put_file(path, "return 1");
        struct source_ref ref = read_file(path, "return 1");
        put_file(other, "return 2");
        set_mtime(other, 1000000000);
        assert_int_equal(rename(other, path), 0);
        assert_stale(&ref, checksum == 1);
        source_release(&ref);
    }
}

/* Old times, the same times, the same size: only the inode tells. */
static void test_a_file_renamed_over_with_the_same_times_is_seen(void **unused)
{
    (void)unused;
    atomic_store(&years_ago, 1);
    atomic_store(&coarse, true);
    for (bool alike = false; !alike;) {
        struct stat before, after;
        put_file(path, "return 1");
        put_file(other, "return 2");
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

static void test_a_deleted_file_is_seen_once_and_can_come_back(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    assert_int_equal(unlink(path), 0);
    assert_stale(&ref, true);
    assert_int_equal(error_of(path, ""), ENOENT);
    put_file(path, "return 1");
    assert_int_equal(source_sweep(true), 0);
    struct source_ref again = read_file(path, "return 1");
    assert_false(source_is_current(&ref));
    assert_unchanged(&again, true);
    source_release(&ref);
    source_release(&again);
}

static void test_a_directory_in_its_place_is_seen(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_stale(&ref, true);
    source_release(&ref);
}

static void test_a_touch_changes_nothing_with_checksums(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    set_mtime(path, 1000000000);
    assert_unchanged(&ref, true);
    assert_unchanged(&ref, false); /* the new times are known now */
    put_file(other, "return 1");
    assert_int_equal(rename(other, path), 0);
    assert_unchanged(&ref, true);
    source_release(&ref);
}

static void test_a_touch_counts_without_checksums(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    set_mtime(path, 1000000000);
    /* That somebody reads it meanwhile must not hide the touch from the sweep. */
    struct source_ref meanwhile = read_file(path, "return 1");
    assert_stale(&ref, false);
    source_release(&ref);
    source_release(&meanwhile);
}

static void test_a_reader_who_meets_a_change_tells_the_others(void **unused)
{
    (void)unused;
    struct source_ref ref = read_file(path, "return 1");
    put_file(path, "return 2");
    unsigned epoch = source_epoch();
    struct source_ref newer = read_file(path, "return 2");
    assert_int_not_equal(source_epoch(), epoch);
    assert_false(source_is_current(&ref));
    assert_unchanged(&newer, true);
    assert_unchanged(&newer, false);
    source_release(&ref);
    source_release(&newer);
}

static void test_one_change_leaves_other_sources_alone(void **unused)
{
    (void)unused;
    put_file(other, "return 5");
    struct source_ref a = read_file(path, "return 1"), b = read_file(other, "return 5");
    put_file(path, "return 2");
    assert_stale(&a, true);
    assert_true(source_is_current(&b));
    source_release(&a);
    source_release(&b);
}

/* -- Directories, and what is not there -- */

static void test_another_directory_behind_a_link_is_seen(void **unused)
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
    put_file(file, "what is in it does not matter");
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

/* Who enters a directory just before the link is switched is told by who looks after. */
static void test_a_directory_that_was_entered_by_another_name_is_compared(void **unused)
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

static void test_a_file_that_was_not_there_is_seen_when_it_comes(void **unused)
{
    (void)unused;
    struct source_ref ref;
    assert_int_equal(source_note_absent(other, &ref), 0);
    assert_unchanged(&ref, true);
    put_file(other, "return 1");
    assert_stale(&ref, true);
    source_release(&ref);
    unlink(other);
    assert_int_equal(source_note_absent(other, &ref), 0);
    put_file(other, "return 1");
    struct source_ref read = read_file(other, "return 1"); /* or by who reads it first */
    assert_false(source_is_current(&ref));
    source_release(&ref);
    source_release(&read);
}

static void test_a_file_known_to_be_absent_costs_no_pause(void **unused)
{
    (void)unused;
    struct source_ref ref;
    assert_int_equal(source_note_absent(other, &ref), 0);
    assert_int_equal(error_of(other, ""), ENOENT);
    assert_int_equal(atomic_load(&pauses), 0);
    source_release(&ref);
}

static void test_a_root_behind_a_link_is_resolved_at_each_use(void **unused)
{
    (void)unused;
    char link[128], one[128], two[128], file[160];
    snprintf(link, sizeof link, "%s/root", directory);
    snprintf(one, sizeof one, "%s/1", directory);
    snprintf(two, sizeof two, "%s/2", directory);
    snprintf(file, sizeof file, "%s/x.lua", two);
    assert_int_equal(mkdir(one, 0755), 0);
    assert_int_equal(mkdir(two, 0755), 0);
    put_file(file, "return 2");
    assert_int_equal(symlink(one, link), 0);
    assert_int_equal(error_of(file, link), EACCES);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(error_of(file, link), EACCES);
    assert_int_equal(symlink(two, link), 0);
    assert_int_equal(error_of(file, link), 0);
    unlink(link);
    unlink(file);
    rmdir(one);
    rmdir(two);
}

/* -- Time stamps that hide a change -- */

/* Two versions under the same time stamp, as a coarse clock shows them. */
static struct source_ref read_then_edit_within_a_tick(void)
{
    atomic_store(&coarse, true);
    for (;;) {
        struct stat before, after;
        put_file(path, "return 1");
        struct source_ref ref = read_file(path, "return 1");
        assert_int_equal(stat(path, &before), 0);
        put_file(path, "return 2");
        assert_int_equal(stat(path, &after), 0);
        if (before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
            before.st_ctim.tv_sec == after.st_ctim.tv_sec)
            return ref;
        source_release(&ref);
    }
}

static void test_a_change_within_one_tick_is_seen(void **unused)
{
    (void)unused;
    for (int checksum = 0; checksum < 2; checksum++) {
        struct source_ref ref = read_then_edit_within_a_tick();
        assert_stale(&ref, checksum == 1);
        source_release(&ref);
    }
}

static void test_a_change_within_one_tick_is_seen_after_a_sweep(void **unused)
{
    (void)unused;
    atomic_store(&coarse, true);
    struct source_ref ref;
    for (;;) {
        struct stat before, after;
        put_file(path, "return 1");
        ref = read_file(path, "return 1");
        assert_int_equal(stat(path, &before), 0);
        assert_unchanged(&ref, true);
        put_file(path, "return 2");
        assert_int_equal(stat(path, &after), 0);
        if (before.st_ctim.tv_sec == after.st_ctim.tv_sec)
            break;
        source_release(&ref);
    }
    assert_stale(&ref, true);
    source_release(&ref);
}

static void test_old_times_are_trusted_and_the_file_is_not_read_again(void **unused)
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

static void test_a_file_grown_old_is_not_read_again(void **unused)
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
        put_file(path, "return 2");
}

static void test_a_change_during_reading_is_read_again(void **unused)
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
    put_file(other, "return 2");
    assert_int_equal(rename(other, path), 0);
}

static void test_a_rename_during_reading_is_read_again(void **unused)
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

static void test_a_file_that_never_rests_is_read_all_the_same(void **unused)
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
        put_file(path, "return 2");
}

static void test_a_file_just_truncated_is_given_time_to_fill(void **unused)
{
    (void)unused;
    put_file(path, "");
    at_pause = write_at_first_pause;
    struct source_ref ref = read_file(path, "return 2");
    source_release(&ref);
}

static void test_a_file_removed_and_made_anew_is_given_time(void **unused)
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
    assert_unchanged(&newer, true); /* nor does a sweep jump to conclusions */
    source_release(&ref);
    source_release(&newer);
}

static void test_a_sweep_over_many_deleted_files_is_not_held_up(void **unused)
{
    (void)unused;
    enum { MANY = 300 };
    static struct source_ref refs[MANY];
    char name[128];
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "%s/%d.lua", directory, i);
        put_file(name, "return 1");
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

static void test_readers_writers_and_sweeps_together(void **unused)
{
    (void)unused;
    pthread_t threads[THREADS], sweeper;
    struct source_ref held[NAMES];
    char name[128];
    for (int i = 0; i < NAMES; i++) {
        name_of(i, name, sizeof name);
        put_file(name, "return 1");
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TREE(name) cmocka_unit_test_setup_teardown(name, set_up_tree, tear_down_tree)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_readers_share_a_source_that_dies_with_the_last),
        TEST(test_text_is_appended),
        TEST(test_only_regular_files_are_read),
        TEST(test_a_missing_file_is_no_source_and_costs_no_pause),
        TEST(test_files_over_16_mib_are_refused),
        TEST(test_no_descriptor_is_left_open),
        TEST(test_an_unreadable_file_is_eacces_and_counts_as_changed_once),
        TREE(test_a_root_confines_through_links_and_dots),
        TREE(test_a_root_confines_without_proc),
        TEST(test_nothing_happens_to_what_does_not_change),
        TEST(test_an_edit_is_seen_once),
        TEST(test_each_edit_is_seen),
        TEST(test_an_edit_with_its_old_time_put_back_is_seen),
        TEST(test_a_file_renamed_over_with_an_older_time_is_seen),
        TEST(test_a_file_renamed_over_with_the_same_times_is_seen),
        TEST(test_a_deleted_file_is_seen_once_and_can_come_back),
        TEST(test_a_directory_in_its_place_is_seen),
        TEST(test_a_touch_changes_nothing_with_checksums),
        TEST(test_a_touch_counts_without_checksums),
        TEST(test_a_reader_who_meets_a_change_tells_the_others),
        TEST(test_one_change_leaves_other_sources_alone),
        TEST(test_another_directory_behind_a_link_is_seen),
        TEST(test_a_directory_that_was_entered_by_another_name_is_compared),
        TEST(test_a_file_that_was_not_there_is_seen_when_it_comes),
        TEST(test_a_file_known_to_be_absent_costs_no_pause),
        TEST(test_a_root_behind_a_link_is_resolved_at_each_use),
        TEST(test_a_change_within_one_tick_is_seen),
        TEST(test_a_change_within_one_tick_is_seen_after_a_sweep),
        TEST(test_old_times_are_trusted_and_the_file_is_not_read_again),
        TEST(test_a_file_grown_old_is_not_read_again),
        TEST(test_a_change_during_reading_is_read_again),
        TEST(test_a_rename_during_reading_is_read_again),
        TEST(test_a_file_that_never_rests_is_read_all_the_same),
        TEST(test_a_file_just_truncated_is_given_time_to_fill),
        TEST(test_a_file_removed_and_made_anew_is_given_time),
        TEST(test_a_sweep_over_many_deleted_files_is_not_held_up),
        TEST(test_readers_writers_and_sweeps_together),
    };
    alarm(300); /* a hang ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
