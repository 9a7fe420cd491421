/* Options that must fit each other, and places that must be there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lua.h>
#include <sys/stat.h>

#include "tests/unit/config_fixture.h"

static void test_script_root_through_a_link_stays_as_given(void **state)
{
    (void)state;
    char root[128], link[128], text[512];
    snprintf(root, sizeof root, "%s/root", directory);
    snprintf(link, sizeof link, "%s/link", directory);
    assert_int_equal(mkdir(root, 0700), 0);
    assert_int_equal(symlink(root, link), 0);
    snprintf(text, sizeof text, "ScriptRoot = '%s'", link);
    struct config *c = load_good(text);
    assert_string_equal(c->script_root, link);
    config_unref(c);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(root), 0);
    assert_mistake("ScriptRoot = '/nonexistent/x'",
                   "ScriptRoot: expected a directory, got \"/nonexistent/x\": No such "
                   "file or directory");
    assert_mistake(
        "ScriptRoot = '/dev/null'",
        "ScriptRoot: expected a directory, got \"/dev/null\": Not a directory");
}

static void test_a_startup_script_that_is_not_there_is_a_mistake(void **state)
{
    (void)state;
    assert_mistake("StartupScript = '/nonexistent.lua'",
                   "StartupScript: expected a file that can be read, got "
                   "\"/nonexistent.lua\": No such file or directory");
    assert_mistake("StartupScript = '/etc'",
                   "StartupScript: expected a file that can be read, got \"/etc\": Is a "
                   "directory");
    assert_null(load("StartupScript = '/dev/null'"));
    config_unref(load_good("StartupScript = '/etc/passwd'"));
}

static void test_states_must_fit_each_other(void **state)
{
    (void)state;
    assert_mistake("WorkerThreads = 8 LuaTotalStates = 5",
                   "LuaTotalStates: expected at least WorkerThreads (8), as each worker "
                   "uses a state, got 5");
}

static void test_there_may_not_be_fewer_workers_at_most_than_at_least(void **state)
{
    (void)state;
    assert_mistake("WorkerThreads = 8 WorkerThreadsMax = 7",
                   "WorkerThreadsMax: expected at least WorkerThreads (8), got 7");
    assert_mistake("workers = 8 WorkerThreadsMax = 7",
                   "WorkerThreadsMax: expected at least workers (8), got 7");
    static const struct {
        const char *text;
        int least, most;
    } rows[] = {
        {"", 4, 64},
        {"WorkerThreads = 64", 64, 64},
        {"WorkerThreads = 65", 65, 65},
        {"workers = 1000", 1000, 1000},
        {"WorkerThreadsMax = 3", 3, 3},
        {"WorkerThreads = 2 WorkerThreadsMax = 2", 2, 2},
        {"states = 3", 3, 64},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *c = load_good(rows[i].text);
        assert_int_equal(c->worker_threads, rows[i].least);
        assert_int_equal(c->worker_threads_max, rows[i].most);
        config_unref(c);
    }
}

static void test_requests_that_wait_fit_their_connections(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int waiting, connections;
    } rows[] = {
        {"", 1000, 2048},
        {"MaxWaiting = 2047", 2047, 2048},
        {"MaxWaiting = 2048", 2048, 3096},
        {"MaxWaiting = 40000", 40000, 41048},
        {"MaxConnections = 1001", 1000, 1001},
        {"MaxConnections = 1000", 999, 1000},
        {"MaxConnections = 1", 1, 1},
        {"MaxWaiting = 0 MaxConnections = 1", 0, 1},
        {"MaxWaiting = 50 MaxConnections = 20", 50, 20},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *c = load_good(rows[i].text);
        assert_int_equal(c->max_waiting, rows[i].waiting);
        assert_int_equal(c->max_connections, rows[i].connections);
        config_unref(c);
    }
    assert_warning("MaxWaiting = 20 MaxConnections = 20",
                   "MaxWaiting: 20 requests that wait need more than 20 connections; "
                   "raise MaxConnections");
}

static void test_a_longer_session_time_switches_a_default_max_age_off(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t max_age; /* ms */
    } rows[] = {
        {"SessionTime = 86400", 86400000},
        {"SessionTime = 86401", 0},
        {"SessionTime = 7 * 86400", 0},
        {"SessionTime = 0", 0},
        {"SessionTime = 7 * 86400 SessionMaxAge = 86400", 86400000},
        {"SessionMaxAge = 60", 60000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct config *c = load_good(rows[i].text);
        assert_int_equal(c->session_max_age, rows[i].max_age);
        config_unref(c);
    }
}

static void test_a_default_gives_way_to_what_was_set(void **state)
{
    (void)state;
    struct config *c = load_good("WorkerThreads = 300 LuaStates = 9");
    assert_int_equal(c->lua_total_states, 300);
    assert_int_equal(c->lua_max_states, 9);
    config_unref(c);
    c = load_good("states = 3"); /* luafcgid's own default of workers was 3 */
    assert_int_equal(c->worker_threads, 3);
    config_unref(c);
}

static void test_cookie_settings_must_not_contradict_each_other(void **state)
{
    (void)state;
    assert_mistake(
        "SessionCookieSameSite = 'None'",
        "SessionCookieSameSite: \"None\" needs SessionCookieSecure = true, got "
        "\"auto\": browsers drop such a cookie without Secure, and \"auto\" "
        "leaves Secure out over http");
    assert_mistake(
        "SessionCookieSameSite = 'None' SessionCookieSecure = false",
        "SessionCookieSameSite: \"None\" needs SessionCookieSecure = true, got "
        "false: browsers drop such a cookie without Secure");
    assert_mistake("SessionName = '__Host-x' SessionCookieSecure = false",
                   "SessionName: a name that begins with __Host- needs "
                   "SessionCookieSecure = true, got false: browsers drop the cookie "
                   "otherwise");
    assert_mistake("SessionName = '__Host-x' SessionCookieDomain = 'example.org'",
                   "SessionName: a name that begins with __Host- allows no "
                   "SessionCookieDomain, got \"example.org\"");
    assert_mistake("SessionName = '__Secure-x' SessionCookieSecure = false",
                   "SessionName: a name that begins with __Secure- needs "
                   "SessionCookieSecure = true, got false: browsers drop the cookie "
                   "otherwise");
    struct config *c = load_good("SessionName = '__Host-x'");
    assert_int_equal(c->session_cookie_secure, CONFIG_SECURE_YES);
    config_unref(c);
    config_unref(
        load_good("SessionName = '__Secure-x' SessionCookieDomain = 'example.org'"));
    config_unref(load_good("SessionCookieSameSite = 'None' SessionCookieSecure = true"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_script_root_through_a_link_stays_as_given),
        TEST(test_a_startup_script_that_is_not_there_is_a_mistake),
        TEST(test_states_must_fit_each_other),
        TEST(test_there_may_not_be_fewer_workers_at_most_than_at_least),
        TEST(test_requests_that_wait_fit_their_connections),
        TEST(test_a_longer_session_time_switches_a_default_max_age_off),
        TEST(test_a_default_gives_way_to_what_was_set),
        TEST(test_cookie_settings_must_not_contradict_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
