/* The threads of hooks: one after the other for configurations that follow each other,
 * errors that come again and again, and hooks that hang. */
#include "daemon/hooks.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "base/clock.h"
#include "lua/hook_api.h"
#include "tests/unit/config_fixture.h"

enum { PATIENCE = 30000 /* ms */ };

/* Loads a file, whose hooks run from now on. */
static void begin(const char *text, const char *why)
{
    struct config_hooks *hooks;
    write_file(text);
    struct config *c = config_load_hooks(file, stderr, &hook_api, &hooks);
    assert_non_null(c);
    hooks_start(c, hooks, why);
    config_unref(c);
}

static bool is_logged(const char *text)
{
    read_log();
    return strstr(logged, text) != NULL;
}

/* Calls hooks_tick meanwhile, as the heartbeat does. */
static void await_log(const char *text)
{
    static const struct timespec nap = {.tv_nsec = 5000000};
    int64_t end = clock_milliseconds() + PATIENCE;
    while (!is_logged(text)) {
        if (clock_milliseconds() > end)
            fail_msg("not logged: %s", text);
        hooks_tick();
        nanosleep(&nap, NULL);
    }
}

static int count(const char *text)
{
    int n = 0;
    read_log();
    for (const char *at = logged; (at = strstr(at, text)) != NULL; at++)
        n++;
    return n;
}

static void without_hooks_there_is_nothing_to_wait_for(void **state)
{
    (void)state;
    begin("x = 1", "start");
    hooks_tick();
    assert_true(hooks_stop(0));
}

static void they_follow_each_other(void **state)
{
    (void)state;
    static const char *const text =
        "MinFileInfoTime = 5 function OnStart(w) Log('start ', w) end "
        "function OnHeartbeat(w) Log('beat ', w) end function OnStop(w) Log('stop ', w) "
        "end";
    begin(text, "start");
    await_log("info OnHeartbeat: beat heartbeat\n");
    begin(text, "reload");
    await_log("info OnStart: start reload\n");
    assert_true(hooks_stop(PATIENCE));
    read_log();
    const char *start = strstr(logged, "info OnStart: start start\n"),
               *old = strstr(logged, "info OnStop: stop reload\n"),
               *new_ = strstr(logged, "info OnStart: start reload\n"),
               *stop = strstr(logged, "info OnStop: stop stop\n");
    assert_non_null(start);
    assert_true(start < old && old < new_ && new_ < stop);
}

static void those_that_were_never_started_are_not_stopped(void **state)
{
    (void)state;
    begin("function OnStart() Log('endless') while true do end end", "start");
    await_log("endless"); /* else it might be stopped before it begins */
    begin("function OnStart() Log('never') end function OnStop() Log('nor this') end",
          "reload");
    assert_true(hooks_stop(PATIENCE));
    assert_true(is_logged("error OnStart: "));
    assert_true(is_logged(": was ended, as the daemon stops"));
    assert_int_equal(count("never") + count("nor this"), 0);
}

static void the_same_error_is_logged_once(void **state)
{
    (void)state;
    begin("MinFileInfoTime = 5 local n = 0 function OnHeartbeat() n = n + 1 "
          "if n == 4 then Log('four') error('other', 0) end error('same', 0) end",
          "start");
    await_log("info OnHeartbeat: four\n");
    assert_true(hooks_stop(PATIENCE));
    assert_true(is_logged("warning OnHeartbeat: the last error came 2 more times\n"));
    assert_int_equal(count("error OnHeartbeat: other"), 1);
    assert_true(count("error OnHeartbeat: same") <= 2);
}

static void an_empty_error_is_one(void **state)
{
    (void)state;
    begin("function OnStart() error('', 0) end", "start");
    await_log("error OnStart: ");
    assert_true(hooks_stop(PATIENCE));
}

static void what_reads_from_a_program_is_ended_by_the_heartbeat(void **state)
{
    (void)state;
    begin("RequestTimeoutMax = 0.02 function OnStart() io.popen('sleep 1000'):read() end",
          "start");
    await_log("error OnStart: took longer than 0.02 seconds");
    assert_true(hooks_stop(PATIENCE));
}

static void one_that_hangs_is_not_waited_for(void **state)
{
    (void)state;
    begin("function OnStart() Log('waits') Shared.lock('a') "
          "local p = io.popen('read x', 'w') p:setvbuf('no') "
          "Log('hangs') io.popen('sleep 1000'):read() end",
          "start");
    await_log("hangs");
    assert_false(hooks_stop(10));
    assert_true(is_logged("warning: OnStart was cut off: it did not end\n"));
    for (int i = 0; !hooks_stop(20) && i < PATIENCE / 20; i++)
        hooks_tick();
    assert_true(hooks_stop(0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_hooks_there_is_nothing_to_wait_for),
        TEST(they_follow_each_other),
        TEST(those_that_were_never_started_are_not_stopped),
        TEST(the_same_error_is_logged_once),
        TEST(an_empty_error_is_one),
        TEST(what_reads_from_a_program_is_ended_by_the_heartbeat),
        TEST(one_that_hangs_is_not_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
