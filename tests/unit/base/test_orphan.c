/* Zombies that no part of the daemon waits for. The program is a subreaper, as a
 * container's first process would be. */
#include "base/orphan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/process.h"

enum { PATIENCE = 30000 /* ms until a test that waits has failed */ };

static void inherit_children(bool inherit)
{
    assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, inherit, 0, 0, 0), 0);
}

static int be_a_subreaper(void **state)
{
    (void)state;
    inherit_children(true);
    return 0;
}

static bool is_zombie(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid;
}

/* Nobody has to wait for it any more. */
static bool is_gone(pid_t pid)
{
    return waitpid(pid, NULL, WNOHANG) < 0 && errno == ECHILD;
}

static void await_death(pid_t pid)
{
    int64_t deadline = clock_milliseconds() + PATIENCE;
    while (!is_zombie(pid)) {
        assert_true(clock_milliseconds() < deadline);
        poll(NULL, 0, 1);
    }
}

/* A child that lives until `release` is closed. */
static pid_t start_child(int *release)
{
    int ends[2];
    char byte;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ends[0]);
    *release = ends[1];
    return pid;
}

static pid_t start_zombie(void)
{
    int release;
    pid_t pid = start_child(&release);
    close(release);
    await_death(pid);
    return pid;
}

/* A zombie whose own parent has ended. */
static pid_t start_orphan(void)
{
    int ends[2], status;
    pid_t pid;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    pid_t parent = fork();
    assert_true(parent >= 0);
    if (parent == 0) {
        pid = fork();
        if (pid == 0)
            _exit(0);
        _exit(write(ends[1], &pid, sizeof pid) == sizeof pid ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &pid, sizeof pid), sizeof pid);
    close(ends[0]);
    assert_int_equal(waitpid(parent, &status, 0), parent);
    assert_int_equal(status, 0);
    await_death(pid);
    return pid;
}

static void an_orphan_is_waited_for_at_the_second_look(void **state)
{
    (void)state;
    pid_t pid = start_orphan();
    orphan_reap();
    assert_true(is_zombie(pid));
    orphan_reap();
    assert_true(is_gone(pid));
}

/* Each has a look of its own in which others may wait for it. */
static void one_that_dies_between_two_looks_has_until_the_third(void **state)
{
    (void)state;
    pid_t first = start_orphan();
    orphan_reap();
    pid_t second = start_orphan();
    orphan_reap();
    assert_true(is_gone(first));
    assert_true(is_zombie(second));
    orphan_reap();
    assert_true(is_gone(second));
}

static void a_child_that_lives_is_left_alone(void **state)
{
    (void)state;
    int release;
    pid_t pid = start_child(&release), orphan = start_orphan();
    orphan_reap();
    orphan_reap();
    assert_true(is_gone(orphan));
    assert_int_equal(waitpid(pid, NULL, WNOHANG), 0);
    start_orphan(); /* so that there is something to look for */
    orphan_reap();
    close(release);
    await_death(pid);
    orphan_reap();
    assert_true(is_zombie(pid));
    orphan_reap();
    assert_true(is_gone(pid));
}

static void a_child_of_a_script_is_left_to_the_script(void **state)
{
    (void)state;
    int status;
    pid_t pid = process_start("exit 3", -1, -1), orphan = start_orphan();
    assert_true(pid > 0);
    await_death(pid);
    for (int i = 0; i < 3; i++)
        orphan_reap();
    assert_true(is_gone(orphan));
    while (!process_wait(pid, &status))
        assert_int_equal(errno, EINTR);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 3);
}

/* Such a process has only children of its own. */
static void nothing_is_done_where_orphans_go_elsewhere(void **state)
{
    (void)state;
    if (getpid() == 1)
        skip();
    pid_t pid = start_zombie();
    inherit_children(false);
    for (int i = 0; i < 3; i++)
        orphan_reap();
    assert_true(is_zombie(pid));
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_orphan_is_waited_for_at_the_second_look,
                               be_a_subreaper),
        cmocka_unit_test_setup(one_that_dies_between_two_looks_has_until_the_third,
                               be_a_subreaper),
        cmocka_unit_test_setup(a_child_that_lives_is_left_alone, be_a_subreaper),
        cmocka_unit_test_setup(a_child_of_a_script_is_left_to_the_script, be_a_subreaper),
        cmocka_unit_test_setup(nothing_is_done_where_orphans_go_elsewhere,
                               be_a_subreaper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
