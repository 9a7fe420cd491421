/* What the tests of files that scripts are made of share: two paths in a directory of
 * their own, and a file system that can be distorted. stat, fstat and nanosleep are this
 * program's, so that times can be coarse or old, a file can change in the middle of
 * reading, and something can happen while the reader pauses. To be included first. */
#ifndef SOURCE_FIXTURE_H
#define SOURCE_FIXTURE_H

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

#include "tests/unit/files.h"

static char directory[64], path[96], other[96];

/* -- A distorted file system -- */

static atomic_bool coarse;          /* times in steps of 2 s */
static atomic_int years_ago;        /* by which all times seem to be earlier */
static atomic_int fstats, pauses;   /* calls so far */
static void (*at_fstat)(int call);  /* before the call */
static void (*at_pause)(int pause); /* instead of it; NULL: time does pass */

static inline void distort(struct stat *st)
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

static inline void set_mtime(const char *name, time_t seconds)
{
    struct timespec times[2] = {{seconds, 0}, {seconds, 0}};
    assert_int_equal(utimensat(AT_FDCWD, name, times, 0), 0);
}

static inline int set_up(void **unused)
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
    files_write(path, "return 1");
    atomic_store(&coarse, false);
    atomic_store(&years_ago, 0);
    atomic_store(&fstats, 0);
    atomic_store(&pauses, 0);
    at_fstat = NULL;
    at_pause = NULL;
    return 0;
}

static inline int tear_down(void **unused)
{
    (void)unused;
    unlink(path);
    unlink(other);
    if (rmdir(path) != 0 && errno != ENOENT)
        return -1;
    return rmdir(directory) != 0 || source_count() != 0;
}

static inline struct source_ref read_file(const char *name, const char *expected)
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

/* Returns the error of reading; checks that a failed reading leaves nothing behind. */
static inline int error_of(const char *name, const char *root)
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

static inline void assert_stale(const struct source_ref *ref, bool use_checksum)
{
    unsigned epoch = source_epoch();
    assert_int_equal(source_sweep(use_checksum), 1);
    assert_false(source_is_current(ref));
    assert_int_not_equal(source_epoch(), epoch);
    assert_int_equal(source_sweep(use_checksum), 0);
}

static inline void assert_unchanged(const struct source_ref *ref, bool use_checksum)
{
    unsigned epoch = source_epoch();
    assert_int_equal(source_sweep(use_checksum), 0);
    assert_true(source_is_current(ref));
    assert_int_equal(source_epoch(), epoch);
}

/* Runs body() in a child, which may give up privileges or take a mount table of its own.
 * body() returns how many of its expectations failed, or 77 to skip the test. */
static inline void in_a_child(int (*body)(void))
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
