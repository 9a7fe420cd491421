/* How children of scripts begin: with nothing of the daemon's but what they are given. */
#include "base/process.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct result {
    char out[4096];
    int status;
};

static void await(pid_t pid, int *status)
{
    while (!process_wait(pid, status))
        assert_int_equal(errno, EINTR);
}

/* Runs it with its output in a pipe, and `in` as its input. */
static struct result run_with(const char *command, int in)
{
    struct result r = {.status = -1};
    int out[2];
    size_t len = 0;
    ssize_t n;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = process_start(command, in, out[1]);
    assert_true(pid > 0);
    close(out[1]);
    while ((n = read(out[0], r.out + len, sizeof r.out - 1 - len)) > 0)
        len += (size_t)n;
    close(out[0]);
    await(pid, &r.status);
    return r;
}

static struct result run(const char *command)
{
    return run_with(command, -1);
}

static void the_status_is_the_commands(void **state)
{
    (void)state;
    static const struct {
        const char *command;
        int code;
    } rows[] = {{"true", 0},
                {"exit 7", 7},
                {"exit 255", 255},
                {"/nonexistent/program 2>/dev/null", 127}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int status = run(rows[i].command).status;
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), rows[i].code);
    }
    int status = run("kill -9 $$").status;
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

static void input_and_output_are_what_was_given(void **state)
{
    (void)state;
    int in[2];
    assert_int_equal(pipe2(in, O_CLOEXEC), 0);
    assert_int_equal(write(in[1], "some lines\nof input\n", 20), 20);
    close(in[1]);
    struct result r = run_with("cat; echo 'it'\"'s\" $((6 * 7))", in[0]);
    close(in[0]);
    assert_string_equal(r.out, "some lines\nof input\nit's 42\n");
    assert_int_equal(r.status, 0);
}

/* Also those without FD_CLOEXEC, of which a library may have some. */
static void no_other_descriptor_goes_along(void **state)
{
    (void)state;
    int low = dup(1), high = fcntl(low, F_DUPFD, 200);
    assert_true(low >= 3 && high >= 200);
    struct result r = run("ls /proc/self/fd | tr '\\n' ' '");
    assert_string_equal(r.out, "0 1 2 3 "); /* 3 is the directory, open to be listed */
    close(low);
    close(high);
}

/* A set of /proc/self/status, without those that the C library keeps for itself: it lets
 * nobody change them. */
static uint64_t signals_in(const char *status, const char *name)
{
    const char *line = strstr(status, name);
    assert_non_null(line);
    uint64_t set = strtoull(line + strlen(name), NULL, 16);
    for (int s = 32; s < SIGRTMIN; s++)
        set &= ~(UINT64_C(1) << (s - 1));
    return set;
}

static void signals_are_neither_blocked_nor_ignored_nor_caught(void **state)
{
    (void)state;
    sigset_t all, before;
    struct sigaction ignore = {.sa_handler = SIG_IGN}, pipe_before, term_before;
    sigaction(SIGPIPE, &ignore, &pipe_before);
    sigaction(SIGTERM, &ignore, &term_before);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_sigmask(SIG_SETMASK, NULL, &all); /* KILL and STOP are not in it */
    struct result r = run("cat /proc/self/status");
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, &before, &now);
    sigaction(SIGPIPE, &pipe_before, NULL);
    sigaction(SIGTERM, &term_before, NULL);
    assert_int_equal(signals_in(r.out, "\nSigBlk:\t"), 0);
    assert_int_equal(signals_in(r.out, "\nSigIgn:\t"), 0);
    assert_int_equal(signals_in(r.out, "\nSigCgt:\t"), 0);
    for (int s = 1; s < SIGRTMIN; s++)
        assert_int_equal(sigismember(&now, s), sigismember(&all, s)); /* as it was */
}

/* So that a command that starts others is killed with them. */
static void a_child_leads_a_group_of_its_own(void **state)
{
    (void)state;
    int out[2], status;
    char byte;
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    pid_t pid = process_start("sleep 1000 & sleep 1000 & echo ready; wait", -1, out[1]);
    assert_true(pid > 0);
    close(out[1]);
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(read(out[0], &byte, 1), 1);
    assert_int_equal(kill(-pid, SIGKILL), 0);
    await(pid, &status);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    while (read(out[0], &byte, 1) > 0) /* ends when the last of them has */
        ;
    close(out[0]);
}

static void waiting_for_no_child_says_so(void **state)
{
    (void)state;
    int status;
    pid_t pid = process_start("true", -1, -1);
    assert_true(pid > 0);
    await(pid, &status);
    errno = 0;
    assert_false(process_wait(pid, &status));
    assert_int_equal(errno, ECHILD);
}

static void all_children_can_be_killed(void **state)
{
    (void)state;
    int status;
    pid_t first = process_start("sleep 1000", -1, -1),
          second = process_start("sleep 1000 & wait", -1, -1);
    assert_true(first > 0 && second > 0);
    process_kill_all();
    await(first, &status);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    await(second, &status);
    assert_int_equal(WTERMSIG(status), SIGKILL);
    process_kill_all(); /* there is none */
    errno = 0;
    assert_int_equal(process_start("true", -1, -1), -1);
    assert_int_equal(errno, ECANCELED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_status_is_the_commands),
        cmocka_unit_test(input_and_output_are_what_was_given),
        cmocka_unit_test(no_other_descriptor_goes_along),
        cmocka_unit_test(signals_are_neither_blocked_nor_ignored_nor_caught),
        cmocka_unit_test(a_child_leads_a_group_of_its_own),
        cmocka_unit_test(waiting_for_no_child_says_so),
        cmocka_unit_test(all_children_can_be_killed), /* the last: no more are started */
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
