/* Sleep, Wait, TimeLimit and Finish: their arguments and what they return. */
#include "lua/wait_api.h"

#include "base/clock.h"
#include "base/watch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void sleep_takes_a_number_of_seconds(void **state)
{
    (void)state;
    int64_t begun = clock_nanoseconds();
    assert_page("Sleep(0.01) con:sleep(0.01) return select('#', Sleep(0))", "0");
    assert_true(clock_nanoseconds() - begun >= 20000000);
    assert_page_fails("Sleep()", "bad argument #1 to 'Sleep' (number expected");
    assert_page_fails("con:sleep('x')", "bad argument #1 to 'sleep' (number expected");
    assert_page_fails("Sleep(0/0)", "bad argument #1 to 'Sleep'");
}

static void wait_takes_a_number_a_file_or_an_object(void **state)
{
    (void)state;
    assert_page("local f = io.popen('echo x') return Wait(f) .. f:read(1)", "rx");
    assert_page("local f = io.popen('cat', 'w') return con:wait(f, 'w', 5)", "w");
    assert_page("local f = io.tmpfile() return Wait(f, 'rw')", "rw");
    assert_page("local f = {getfd = function() return 2 end} return Wait(f, 'w')", "w");
    assert_page("local f = io.popen('sleep 5') local a, b = Wait(f, 'r', 0.01)"
                " return tostring(a) .. b",
                "niltimeout");
}

static void wait_names_a_wrong_argument(void **state)
{
    (void)state;
    assert_page_fails("Wait()", "bad argument #1 to 'Wait' (a descriptor, a file,");
    assert_page_fails("Wait({})", "bad argument #1 to 'Wait' (a descriptor, a file,");
    assert_page_fails("con:wait('x')", "bad argument #1 to 'wait' (a descriptor, a");
    assert_page_fails("Wait(-1)", "bad argument #1 to 'Wait' (it has no open");
    assert_page_fails("Wait(1 << 40)", "bad argument #1 to 'Wait' (it has no open");
    assert_page_fails("Wait(1.5)", "bad argument #1 to 'Wait' (number has no integer");
    assert_page_fails("local f = io.tmpfile() f:close() Wait(f)", "it has no open");
    assert_page_fails("Wait({getfd = function() end})", "it has no open");
    assert_page_fails("Wait(2, 'x')", "bad argument #2 to 'Wait' (invalid option 'x')");
    assert_page_fails("Wait(2, 'w', {})", "bad argument #3 to 'Wait' (number expected");
}

static void time_limit_gives_at_most_what_is_allowed(void **state)
{
    (void)state;
    assert_true(watch_create(WATCH_WORKER, 1));
    config->request_timeout_max = 60000;
    assert_page("return TimeLimit(20) .. ' ' .. con:timelimit(1e9)", "20.0 60.0");
    assert_in_range(watch_time_left(), 59000, 60000);
    config->request_timeout_max = 0;
    assert_page("TimeLimit(86400)", "");
    assert_in_range(watch_time_left(), 86399000, 86400000);
    watch_destroy();
    assert_page_fails("TimeLimit(0)", "bad argument #1 to 'TimeLimit' (a number of");
    assert_page_fails("TimeLimit()", "bad argument #1 to 'TimeLimit' (number expected");
}

static void what_is_sent_after_the_end_is_dropped(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = page("Send('a') return 'b'");
    begin_request((const char *const[]){"A=1", ""});
    request_send(request, "first", 5);
    request_finish(request);
    assert_true(request_is_over(request));
    assert_non_null(answer(s, &error));
    request_finish(request);
    assert_int_equal(request_buffer(request)->len, 0);
    assert_true(peer.ended);
    assert_int_equal(peer.writes, 1);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sleep_takes_a_number_of_seconds),
        TEST(wait_takes_a_number_a_file_or_an_object),
        TEST(wait_names_a_wrong_argument),
        TEST(time_limit_gives_at_most_what_is_allowed),
        TEST(what_is_sent_after_the_end_is_dropped),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
