/* The pid file: each test has a directory of its own, and other daemons are child
 * processes. */
#include "daemon/pidfile.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/files.h"

static char directory[64], path[80], other[80], error[256];

static int set_up(void **state)
{
    (void)state;
    snprintf(directory, sizeof directory, "/tmp/pidfile.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/pid", directory);
    snprintf(other, sizeof other, "%s/other", directory);
    error[0] = '\0';
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    pidfile_remove();
    unlink(path);
    unlink(other);
    return rmdir(directory);
}

static bool is_there(const char *name)
{
    struct stat st;
    return lstat(name, &st) == 0;
}

static void open_and_write(void)
{
    assert_true(pidfile_open(path, error, sizeof error));
    assert_true(pidfile_write());
}

static const char *own_pid(void)
{
    static char text[32];
    snprintf(text, sizeof text, "%ld\n", (long)getpid());
    return text;
}

static void none_is_fine(void **state)
{
    (void)state;
    assert_true(pidfile_open("", error, sizeof error));
    assert_true(pidfile_write());
    pidfile_chown(getuid(), getgid());
    pidfile_remove();
}

static void holds_the_pid_and_goes_at_exit(void **state)
{
    (void)state;
    open_and_write();
    assert_string_equal(files_read(path), own_pid());
    pidfile_remove();
    assert_false(is_there(path));
}

static void a_stale_file_is_replaced(void **state)
{
    (void)state;
    files_write(path, "1\nand more than a process id that is longer than ours\n");
    open_and_write();
    assert_string_equal(files_read(path), own_pid());
}

static void a_live_one_is_refused_and_left_alone(void **state)
{
    (void)state;
    files_write(path, "4711\n");
    int fd = open(path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_false(pidfile_open(path, error, sizeof error));
    assert_non_null(strstr(error, path));
    assert_non_null(strstr(error, "4711"));
    assert_string_equal(files_read(path), "4711\n");
    pidfile_remove();
    assert_true(is_there(path));
    close(fd);
}

static void a_live_one_that_is_still_starting_is_refused(void **state)
{
    (void)state;
    files_write(path, "");
    int fd = open(path, O_RDONLY);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_false(pidfile_open(path, error, sizeof error));
    assert_non_null(strstr(error, "starting"));
    close(fd);
}

static void the_lock_survives_the_fork_of_daemon(void **state)
{
    (void)state;
    int status, go[2], done[2];
    char byte = 0;
    assert_int_equal(pipe(go), 0);
    assert_int_equal(pipe(done), 0);
    pid_t parent = fork();
    if (parent == 0) {
        /* As daemon(3): the child goes on, the parent ends at once. */
        if (!pidfile_open(path, error, sizeof error) || fork() > 0)
            _exit(0);
        close(go[1]);
        bool written = chdir("/") == 0 && pidfile_write();
        if (write(done[1], &written, 1) != 1 || read(go[0], &byte, 1) < 0)
            _exit(1);
        pidfile_remove();
        _exit(0);
    }
    close(done[1]);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(read(done[0], &byte, 1), 1);
    assert_int_equal(byte, 1);
    assert_false(pidfile_open(path, error, sizeof error));
    assert_string_not_equal(files_read(path), "");
    close(go[1]);
    assert_int_equal(read(done[0], &byte, 1), 0); /* the daemon ended */
    assert_false(is_there(path));
    close(go[0]);
    close(done[0]);
}

static void a_relative_path_is_found_again_after_chdir(void **state)
{
    (void)state;
    int here = open(".", O_RDONLY | O_DIRECTORY);
    assert_int_equal(chdir(directory), 0);
    assert_true(pidfile_open("pid", error, sizeof error));
    assert_int_equal(chdir("/"), 0);
    assert_true(is_there(path));
    pidfile_remove();
    assert_false(is_there(path));
    assert_int_equal(fchdir(here), 0);
    close(here);
}

static void a_file_that_is_no_longer_ours_stays(void **state)
{
    (void)state;
    open_and_write();
    files_write(other, "99\n");
    assert_int_equal(rename(other, path), 0);
    pidfile_remove();
    assert_string_equal(files_read(path), "99\n");
}

static void a_symbolic_link_is_not_followed(void **state)
{
    (void)state;
    files_write(other, "precious\n");
    assert_int_equal(symlink(other, path), 0);
    assert_false(pidfile_open(path, error, sizeof error));
    assert_string_not_equal(error, "");
    assert_string_equal(files_read(other), "precious\n");
}

static void only_a_regular_file_will_do(void **state)
{
    (void)state;
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_false(pidfile_open(path, error, sizeof error));
    assert_non_null(strstr(error, "not a regular file"));
    assert_false(pidfile_open(directory, error, sizeof error));
}

static void a_missing_directory_is_named(void **state)
{
    (void)state;
    char missing[128];
    snprintf(missing, sizeof missing, "%s/none/pid", directory);
    assert_false(pidfile_open(missing, error, sizeof error));
    assert_non_null(strstr(error, missing));
}

static void a_child_does_not_inherit_the_lock(void **state)
{
    (void)state;
    open_and_write();
    /* The shell looks at the descriptors that it was started with: the file must not be
     * among them. */
    char command[256];
    snprintf(
        command, sizeof command,
        "for fd in /proc/self/fd/*; do test \"$(readlink $fd)\" != '%s' || exit 1; done",
        path);
    assert_int_equal(system(command), 0);
}

static void is_emptied_where_it_cannot_be_removed(void **state)
{
    (void)state;
    int status;
    if (geteuid() != 0)
        skip(); /* only root can give up privileges */
    pid_t child = fork();
    if (child == 0) {
        bool ok = pidfile_open(path, error, sizeof error) && pidfile_write();
        pidfile_chown(65534, 65534);
        if (!ok || chmod(directory, 0755) != 0 || setgid(65534) != 0 ||
            setuid(65534) != 0)
            _exit(1);
        pidfile_remove();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(is_there(path));
    assert_string_equal(files_read(path), "");
    assert_true(pidfile_open(path, error, sizeof error));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(none_is_fine),
        TEST(holds_the_pid_and_goes_at_exit),
        TEST(a_stale_file_is_replaced),
        TEST(a_live_one_is_refused_and_left_alone),
        TEST(a_live_one_that_is_still_starting_is_refused),
        TEST(the_lock_survives_the_fork_of_daemon),
        TEST(a_relative_path_is_found_again_after_chdir),
        TEST(a_file_that_is_no_longer_ours_stays),
        TEST(a_symbolic_link_is_not_followed),
        TEST(only_a_regular_file_will_do),
        TEST(a_missing_directory_is_named),
        TEST(a_child_does_not_inherit_the_lock),
        TEST(is_emptied_where_it_cannot_be_removed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
