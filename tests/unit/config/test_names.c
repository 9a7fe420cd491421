/* The names of options: older ones, those of earlier members of the family, and slips. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lua.h>

#include "tests/unit/config_fixture.h"

static void test_luafcgid_configuration_runs_unmodified(void **state)
{
    (void)state;
    struct config *c = load_good(
        "listen = '/var/tmp/luafcgid.sock'\n"
        "workers = 5\nstates = workers * 2\nclones = states\nsweep = 5000\nretries = 1\n"
        "showerrors = true\nbuffering = false\nheadersize = 64\nbodysize = 1024\n"
        "headers = 'X-Powered-By: Lua\\r\\n'\nhandler = 'handle'\n"
        "httpstatus = '201 Created'\ncontenttype = 'text/plain'\n"
        "maxpost = 1024 * 1024 * 2\nlogfile = '/tmp/l.log'\nmaxcount = 7\n"
        "daemonize = false\nwatchdog = 30\nbacklog = -1\n");
    assert_string_equal(c->listen, "/var/tmp/luafcgid.sock");
    assert_int_equal(c->worker_threads, 5);
    assert_int_equal(c->lua_total_states, 10);
    assert_int_equal(c->lua_max_states, 10);
    assert_int_equal(c->min_file_info_time, 5000);
    assert_int_equal(c->lua_max_search_retries, 1);
    assert_true(c->show_errors);
    assert_false(c->buffering);
    assert_int_equal(c->headers_size, 64);
    assert_int_equal(c->body_size, 1024);
    assert_string_equal(c->default_headers, "X-Powered-By: Lua\r\n");
    assert_string_equal(c->entrypoint, "handle");
    assert_true(c->entrypoint_set);
    assert_string_equal(c->default_http_status, "201 Created");
    assert_string_equal(c->default_content_type, "text/plain");
    assert_int_equal(c->max_post_size, 2097152);
    assert_string_equal(c->log_file_path, "/tmp/l.log");
    assert_int_equal(c->lua_max_requests, 7);
    assert_int_equal(c->watchdog, 30000);
    assert_int_equal(c->backlog, 511);
    config_unref(c);
}

static void test_first_luafcgid2_configuration_runs_unmodified(void **state)
{
    (void)state;
    struct config *c = load_good(
        "listen = '/var/tmp/luafcgid2.sock' threads = 4 states = 3 retries = 3\n"
        "maxstates = 5 headersize = 64 bodysize = 1024 script = ''\n"
        "entrypoint = 'main' Config = { entrypoint = entrypoint }\n");
    assert_int_equal(c->worker_threads, 4);
    assert_int_equal(c->lua_states, 3);
    assert_int_equal(c->lua_max_states, 5);
    assert_int_equal(c->lua_total_states, 256);
    assert_true(c->entrypoint_set);
    assert_string_equal(logged, "");
    config_unref(c);
}

static void test_luafcgid2_configuration_runs_unmodified(void **state)
{
    (void)state;
    struct config *c = load_good(
        "WorkerThreads = 4 LuaStates = 1 LuaMaxStates = 6 MinFileInfoTime = 5000\n"
        "SessionCookieSecure = true SessionCookieSameSite = '' entrypoint = 'main'\n");
    assert_int_equal(c->session_cookie_same_site, CONFIG_SAME_SITE_OMIT);
    assert_int_equal(c->session_cookie_secure, CONFIG_SECURE_YES);
    assert_true(c->entrypoint_set);
    assert_string_equal(logged, "");
    config_unref(c);
}

static void test_newer_name_wins_and_says_so(void **state)
{
    (void)state;
    struct config *c = load_good("workers = 2 WorkerThreads = 3 Entrypoint = 'new'\n"
                                 "handler = 'old' maxpost = 'not looked at'\n"
                                 "MaxPostSize = 5");
    assert_int_equal(c->worker_threads, 3);
    assert_string_equal(c->entrypoint, "new");
    assert_int_equal(c->max_post_size, 5);
    config_unref(c);
    assert_non_null(
        strstr(logged, "workers is ignored, because WorkerThreads is set too\n"));
}

static void test_empty_string_under_an_old_name_is_not_set(void **state)
{
    (void)state;
    struct config *c = load_good("handler = '' httpstatus = '' contenttype = ''");
    assert_string_equal(c->entrypoint, "main");
    assert_false(c->entrypoint_set);
    assert_string_equal(c->default_http_status, "200 OK");
    config_unref(c);
    assert_mistake("entrypoint = ''",
                   "entrypoint: expected the name of a function, got \"\"");
    assert_null(load("listen = ''"));
    assert_mistake("Entrypoint = ''",
                   "Entrypoint: expected the name of a function, got \"\"");
}

static void test_unknown_names_close_to_an_option_are_warned_about(void **state)
{
    (void)state;
    assert_warning("WorkerThread = 4",
                   "WorkerThread is not an option; did you mean WorkerThreads?\n");
    assert_warning("WrokerThreads = 4", "did you mean WorkerThreads?\n");
    assert_warning("workerthreads = 4", "did you mean WorkerThreads?\n");
    assert_warning("worker_threads = 4", "did you mean WorkerThreads?\n");
    assert_warning("config = {}", "config is not an option; did you mean Config?\n");
    assert_warning("user = 'x'", "did you mean User?\n");
    assert_warning("worker = 4", "did you mean workers?\n");
    assert_warning("LISTEN = ':9000'", "did you mean Listen?\n");
}

static void test_other_globals_are_left_alone(void **state)
{
    (void)state;
    assert_silent("cores = 4 hostname = 'pi' WorkerThreads = cores\n"
                  "function handlers() end\n"
                  "_G[1] = 2 _G[true] = 3 x = 1 os2 = os\n");
}

static void test_unknown_names_are_warned_about_at_once_and_once(void **state)
{
    (void)state;
    write_file("LogLevl = 'debug'");
    struct config *c = config_load(file, stderr);
    assert_non_null(c);
    config_publish(c);
    config_publish(NULL);
    read_log();
    const char *found = strstr(logged, "did you mean LogLevel?");
    assert_non_null(found);
    assert_null(strstr(found + 1, "did you mean"));
    assert_null(load("WorkerThreads = -1 LogLevl = 'debug'"));
    assert_non_null(strstr(logged, "did you mean LogLevel?"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_luafcgid_configuration_runs_unmodified),
        TEST(test_first_luafcgid2_configuration_runs_unmodified),
        TEST(test_luafcgid2_configuration_runs_unmodified),
        TEST(test_newer_name_wins_and_says_so),
        TEST(test_empty_string_under_an_old_name_is_not_set),
        TEST(test_unknown_names_close_to_an_option_are_warned_about),
        TEST(test_other_globals_are_left_alone),
        TEST(test_unknown_names_are_warned_about_at_once_and_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
