/* Going to the background, each time in a process of its own. */
#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Runs `start` as the user's process would, and returns that one's exit status. What
 * `start` writes to `report` is from the process in the background. */
static int run(void (*start)(int report), int *report)
{
    int ends[2], status;
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(ends[0]);
        start(ends[1]);
        _exit(99);
    }
    close(ends[1]);
    *report = ends[0];
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void say(int report, const void *data, size_t len)
{
    if (write(report, data, len) != (ssize_t)len)
        _exit(98);
}

static void start_well(int report)
{
    if (!background_enter())
        _exit(97);
    background_detach();
    pid_t ids[2] = {getsid(0), getpid()};
    say(report, ids, sizeof ids);
    _exit(0);
}

static void the_starter_ends_well_once_the_daemon_says_so(void **state)
{
    (void)state;
    int report;
    pid_t ids[2];
    assert_int_equal(run(start_well, &report), EXIT_SUCCESS);
    assert_int_equal(read(report, ids, sizeof ids), sizeof ids);
    assert_int_equal(ids[0], ids[1]); /* it leads a session of its own */
    assert_true(ids[1] != getpid());
    close(report);
}

static void fail_to_start(int report)
{
    (void)report;
    background_enter();
    _exit(0);
}

static void the_starter_fails_when_the_daemon_ends_before(void **state)
{
    (void)state;
    int report;
    assert_int_equal(run(fail_to_start, &report), EXIT_FAILURE);
    close(report);
}

static void report_standard_descriptors(int report)
{
    struct stat null, now[3];
    char same = 1;
    if (!background_enter())
        _exit(97);
    background_detach();
    stat("/dev/null", &null);
    for (int fd = 0; fd < 3; fd++)
        if (fstat(fd, &now[fd]) != 0 || now[fd].st_rdev != null.st_rdev)
            same = 0;
    say(report, &same, 1);
    _exit(0);
}

static void a_detached_daemon_has_let_go_of_the_terminal(void **state)
{
    (void)state;
    int report;
    char same = 0;
    assert_int_equal(run(report_standard_descriptors, &report), EXIT_SUCCESS);
    assert_int_equal(read(report, &same, 1), 1);
    assert_true(same);
    close(report);
}

/* As it does without Daemonize. */
static void detaching_alone_does_nothing(void **state)
{
    (void)state;
    struct stat before, after;
    assert_int_equal(fstat(STDOUT_FILENO, &before), 0);
    background_detach();
    assert_int_equal(fstat(STDOUT_FILENO, &after), 0);
    assert_int_equal(before.st_ino, after.st_ino);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_starter_ends_well_once_the_daemon_says_so),
        cmocka_unit_test(the_starter_fails_when_the_daemon_ends_before),
        cmocka_unit_test(a_detached_daemon_has_let_go_of_the_terminal),
        cmocka_unit_test(detaching_alone_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
