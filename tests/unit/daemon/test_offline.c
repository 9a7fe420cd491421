/* One request without a web server, each in a process of its own, which offline_run takes
 * over. tests/integration/test_offline.py has what users see of it. */
#include "daemon/offline.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config.h"
#include "tests/unit/files.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char directory[] = "/tmp/test_offline.XXXXXX";
static char script[64], out[64], log_file[64], in[64];

static int group_set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(script, sizeof script, "%s/s.lua", directory);
    snprintf(out, sizeof out, "%s/out", directory);
    snprintf(log_file, sizeof log_file, "%s/log", directory);
    snprintf(in, sizeof in, "%s/in", directory);
    return 0;
}

static int group_tear_down(void **state)
{
    (void)state;
    unlink(script);
    unlink(out);
    unlink(log_file);
    unlink(in);
    return rmdir(directory);
}

static void redirect(const char *path, int flags, int to)
{
    int fd = open(path, flags, 0600);
    if (fd < 0 || dup2(fd, to) < 0)
        _exit(99);
    close(fd);
}

/* With the files `in`, `out` and `log_file` as descriptors 0 to 2. Returns the exit
 * status, or the negative number of a signal. */
static int run(const struct offline *what, int64_t timeout, const char *output)
{
    int status;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        redirect(in, O_RDONLY, 0);
        redirect(output, O_WRONLY | O_CREAT | O_TRUNC, 1);
        redirect(log_file, O_WRONLY | O_CREAT | O_TRUNC, 2);
        struct config *config = config_load(NULL, stderr);
        if (config == NULL)
            _exit(99);
        config->request_timeout = timeout;
        int result = offline_run(config, what);
        config_unref(config);
        _exit(result);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int run_code(const char *code, const char *body, bool headers,
                    const char *const *pairs)
{
    char text[1024];
    snprintf(text, sizeof text, "function main() %s end", code);
    files_write(script, text);
    files_write(in, body);
    return run(&(struct offline){script, pairs, headers}, 60000, out);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NO_PAIRS   ((const char *const[]){NULL})

static void the_body_comes_out(void **state)
{
    (void)state;
    assert_int_equal(run_code("Send('a') Flush() Send('b')", "", false, NO_PAIRS), 0);
    assert_string_equal(files_read(out), "ab");
    assert_string_equal(files_read(log_file), "");
}

static void headers_are_printed_when_they_are_wanted(void **state)
{
    (void)state;
    assert_int_equal(run_code("RespStatus(404) return 'x'", "", true, NO_PAIRS), 4);
    const char *text = files_read(out);
    assert_ptr_equal(strstr(text, "Status: 404 Not Found\r\n"), text);
    assert_non_null(strstr(text, "\r\n\r\nx"));
}

static void parameters_are_those_given_or_made_up(void **state)
{
    (void)state;
    static const char code[] =
        "Send(Env.REQUEST_METHOD, Env.A, '|', Env.SERVER_NAME, '|', "
        "Env.SCRIPT_NAME, tostring(Env.CONTENT_TYPE))";
    run_code(code, "", false, PAIRS("A=b=c", "SERVER_NAME=x"));
    assert_string_equal(files_read(out), "GETb=c|x|/s.luanil");
    run_code(code, "", false, PAIRS("A=", "CONTENT_TYPE=t"));
    assert_string_equal(files_read(out), "POST|localhost|/s.luat");
    run_code(code, "", false, PAIRS("A=1", "A=2", "REQUEST_METHOD=POST"));
    assert_non_null(strstr(files_read(out), "/s.luaapplication/x-www-form-urlencoded"));
}

static void the_body_of_the_request_is_standard_input(void **state)
{
    (void)state;
    run_code("Send(Receive(3), '|', Receive(), '|', tostring(io.read()))", "abcdef",
             false, NO_PAIRS);
    assert_string_equal(files_read(out), "abc|def|nil");
}

static void the_status_is_that_of_the_response(void **state)
{
    (void)state;
    assert_int_equal(run_code("RespStatus(399)", "", false, NO_PAIRS), 0);
    assert_int_equal(run_code("RespStatus(400)", "", false, NO_PAIRS), 4);
    assert_int_equal(run_code("RespStatus(500)", "", false, NO_PAIRS), 5);
    assert_int_equal(
        run_code("Send('x') Flush() error('broken off')", "", false, NO_PAIRS), 5);
    assert_non_null(strstr(files_read(log_file), "broken off"));
}

static void a_script_that_is_late_is_ended(void **state)
{
    (void)state;
    files_write(script, "function main() while true do end end");
    files_write(in, "");
    assert_int_equal(run(&(struct offline){script, NO_PAIRS, false}, 100, out), 5);
    assert_non_null(strstr(files_read(log_file), "time limit"));
}

static void an_output_that_fails_is_told(void **state)
{
    (void)state;
    files_write(script, "function main() Send('x') end");
    files_write(in, "");
    assert_int_equal(run(&(struct offline){script, NO_PAIRS, false}, 60000, "/dev/full"),
                     1);
    assert_non_null(strstr(files_read(log_file), "No space left"));
}

static void a_signal_ends_it(void **state)
{
    (void)state;
    assert_int_equal(
        run_code("os.execute('kill -TERM $PPID; sleep 1000')", "", false, NO_PAIRS),
        -SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_comes_out),
        cmocka_unit_test(headers_are_printed_when_they_are_wanted),
        cmocka_unit_test(parameters_are_those_given_or_made_up),
        cmocka_unit_test(the_body_of_the_request_is_standard_input),
        cmocka_unit_test(the_status_is_that_of_the_response),
        cmocka_unit_test(a_script_that_is_late_is_ended),
        cmocka_unit_test(an_output_that_fails_is_told),
        cmocka_unit_test(a_signal_ends_it),
    };
    return cmocka_run_group_tests(tests, group_set_up, group_tear_down);
}
