/* The directory of a run's uploads: made, removed, and what is removed with it of others.
 * The tests that make one have a process of their own, as it is made once. */
#include "daemon/rundir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/files.h"
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[64];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_rundir.XXXXXX");
    return mkdtemp(directory) == NULL ? -1 : 0;
}

static int tear_down(void **state)
{
    char command[96];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char paths[4][128];
    static unsigned last;
    last = (last + 1) % 4;
    snprintf(paths[last], sizeof paths[last], "%s/%s", directory, name);
    return paths[last];
}

static void make_directory(const char *name)
{
    assert_int_equal(mkdir(path_of(name), 0700), 0);
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(path_of(name), &st) == 0;
}

/* What a run does: with `removes` it ends in order, else it is killed. */
static void run(bool removes)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        char file[128];
        const char *path = rundir_create(directory);
        if (path == NULL || strncmp(path, path_of("luafcgid2-run-"),
                                    strlen(directory) + strlen("/luafcgid2-run-")) != 0)
            _exit(1);
        snprintf(file, sizeof file, "%s/luafcgid2-1", path);
        int fd = open(file, O_WRONLY | O_CREAT | O_EXCL, 0600);
        if (fd < 0)
            _exit(2);
        if (removes)
            rundir_remove();
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static int count_entries(void)
{
    char command[96], text[16] = "";
    snprintf(command, sizeof command, "ls -A %s | wc -l", directory);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(text, sizeof text, p));
    pclose(p);
    return atoi(text);
}

static void a_run_leaves_nothing(void **state)
{
    (void)state;
    run(true);
    assert_int_equal(count_entries(), 0);
}

static void what_a_killed_one_leaves_the_next_removes(void **state)
{
    (void)state;
    run(false);
    run(false);
    assert_int_equal(count_entries(), 1);
    run(true);
    assert_int_equal(count_entries(), 0);
}

static void one_that_runs_keeps_its_own(void **state)
{
    (void)state;
    make_directory("luafcgid2-run-others");
    files_write(path_of("luafcgid2-run-others/luafcgid2-1"), "x");
    int fd = open(path_of("luafcgid2-run-others"), O_RDONLY | O_DIRECTORY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    run(true);
    assert_true(is_there("luafcgid2-run-others/luafcgid2-1"));
    close(fd);
    run(true);
    assert_false(is_there("luafcgid2-run-others"));
}

static void what_is_no_upload_stays(void **state)
{
    (void)state;
    make_directory("luafcgid2-run-notes");
    files_write(path_of("luafcgid2-run-notes/notes"), "mine");
    files_write(path_of("luafcgid2-run-file"), "mine");
    make_directory("luafcgid2-backup");
    files_write(path_of("luafcgid2-backup/luafcgid2-1"), "mine");
    make_directory("elsewhere");
    files_write(path_of("elsewhere/luafcgid2-1"), "mine");
    assert_int_equal(symlink("elsewhere", path_of("luafcgid2-run-link")), 0);
    run(true);
    assert_true(is_there("luafcgid2-run-notes/notes"));
    assert_true(is_there("luafcgid2-run-file"));
    assert_true(is_there("luafcgid2-backup/luafcgid2-1"));
    assert_true(is_there("luafcgid2-run-link"));
    assert_true(is_there("elsewhere/luafcgid2-1"));
}

static void without_a_place_there_is_none(void **state)
{
    (void)state;
    assert_null(rundir_create(path_of("nowhere")));
    rundir_remove();
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_run_leaves_nothing),
        TEST(what_a_killed_one_leaves_the_next_removes),
        TEST(one_that_runs_keeps_its_own),
        TEST(what_is_no_upload_stays),
        TEST(without_a_place_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
