/* A load from beginning to end: defaults, the file, and what is said of mistakes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lua.h>

#include "tests/unit/config_fixture.h"

static void test_defaults_are_those_of_the_contract(void **state)
{
    (void)state;
    struct config *c = load_file(NULL);
    assert_non_null(c);
    assert_string_equal(errors, "");
    assert_string_equal(logged, "");
    assert_null(c->file);
    assert_string_equal(c->listen, "/var/tmp/luafcgid2.sock");
    assert_int_equal(c->worker_threads, 4);
    assert_int_equal(c->backlog, 511);
    assert_int_equal(c->max_connections, 2048);
    assert_int_equal(c->max_waiting, 1000);
    assert_int_equal(c->request_timeout_max, 600000);
    assert_int_equal(c->max_head_size, 65536);
    assert_int_equal(c->listen_mode, 0660);
    assert_string_equal(c->listen_owner, "");
    assert_string_equal(c->listen_group, "");
    assert_string_equal(c->user, "");
    assert_string_equal(c->group, "");
    assert_string_equal(c->pid_file, "");
    assert_false(c->daemonize);
    assert_int_equal(c->lua_states, 1);
    assert_int_equal(c->lua_max_states, 6);
    assert_int_equal(c->lua_total_states, 256);
    assert_int_equal(c->lua_max_search_retries, 3);
    assert_int_equal(c->lua_max_requests, 0);
    assert_int_equal(c->lua_max_errors, 3);
    assert_int_equal(c->min_file_info_time, 1000);
    assert_true(c->use_file_checksum);
    assert_string_equal(c->startup_script, "");
    assert_string_equal(c->entrypoint, "main");
    assert_false(c->entrypoint_set);
    assert_string_equal(c->allowed_extensions[0], ".lua");
    assert_null(c->allowed_extensions[1]);
    assert_string_equal(c->script_root, "");
    assert_int_equal(c->request_timeout, 30000);
    assert_int_equal(c->script_memory_limit, 67108864);
    assert_int_equal(c->max_post_size, 1048576);
    assert_int_equal(c->keep_alive_timeout, 60000);
    assert_int_equal(c->read_timeout, 10000);
    assert_int_equal(c->write_timeout, 120000);
    assert_int_equal(c->watchdog, 60000);
    assert_string_equal(c->default_headers, "X-Powered-By: luafcgid2\r\n");
    assert_string_equal(c->default_http_status, "200 OK");
    assert_string_equal(c->default_content_type, "text/html");
    assert_true(c->buffering);
    assert_int_equal(c->headers_size, 128);
    assert_int_equal(c->body_size, 2048);
    assert_int_equal(c->body_sectors, 4);
    assert_false(c->show_errors);
    assert_string_equal(c->log_file_path, "/var/log/luafcgid2/luafcgid2.log");
    assert_int_equal(c->log_level, LOG_LEVEL_INFO);
    assert_string_equal(c->session_name, "XLuaSession");
    assert_int_equal(c->session_time, 3600000);
    assert_int_equal(c->session_max_age, 86400000);
    assert_int_equal(c->session_key_len, 24);
    assert_int_equal(c->session_cookie_secure, CONFIG_SECURE_AUTO);
    assert_true(c->session_cookie_http_only);
    assert_int_equal(c->session_cookie_same_site, CONFIG_SAME_SITE_LAX);
    assert_string_equal(c->session_cookie_domain, "");
    assert_true(c->session_cookie_persistent);
    assert_int_equal(c->session_target_score, 3);
    assert_int_equal(c->session_ip_score, 3);
    assert_int_equal(c->session_user_agent_score, 2);
    assert_int_equal(c->session_language_score, 1);
    assert_int_equal(c->session_max_count, 10000);
    assert_int_equal(c->session_max_size, 65536);
    assert_string_equal(c->session_file, "");
    assert_true(c->app_len > 0);
    config_unref(c);
}

static void test_the_file_may_compute(void **state)
{
    (void)state;
    struct config *c = load_good(
        "local cores = tonumber(os.getenv('NO_SUCH_VARIABLE') or '2')\n"
        "for _, name in ipairs { 'WorkerThreads', 'LuaStates' } do _G[name] = cores end\n"
        "setmetatable(_G, { __index = function(_, n) error('unknown ' .. n) end })\n");
    assert_int_equal(c->worker_threads, 2);
    assert_int_equal(c->lua_states, 2);
    config_unref(c);
}

static void test_default_headers_are_made_whole_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *headers;
    } rows[] = {
        {"DefaultHeaders = 'A: b'", "A: b\r\n"},
        {"DefaultHeaders = 'A: b\\nC: d\\n'", "A: b\r\nC: d\r\n"},
        {"DefaultHeaders = 'A: b\\r\\n\\r\\nC:\\td\\r\\n'", "A: b\r\nC:\td\r\n"},
        {"DefaultHeaders = ''", ""},
        {"DefaultHeaders = '\\n'", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct config *c = load_good(rows[i].text);
        assert_string_equal(c->default_headers, rows[i].headers);
        config_unref(c);
    }
}

static void test_every_mistake_is_reported(void **state)
{
    (void)state;
    assert_null(load("WorkerThreads = 'four' Daemonize = 0 LogLevel = 1\n"
                     "AllowedExtensions = {1, 2} SessionKeyLen = 0\n"
                     "Config = { a = io.stderr, b = { c = io.stdout } }\n"));
    static const char *const parts[] = {": WorkerThreads: ",
                                        ": Daemonize: ",
                                        ": LogLevel: ",
                                        ": AllowedExtensions[1]: ",
                                        ": AllowedExtensions[2]: ",
                                        ": SessionKeyLen: ",
                                        ": Config.a: ",
                                        ": Config.b.c: "};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(errors, parts[i]) == NULL)
            fail_msg("%s is missing in %s", parts[i], errors);
    int lines = 0;
    for (const char *c = errors; *c != '\0'; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 8);
}

static void test_a_refused_file_does_not_warn_of_risks(void **state)
{
    (void)state;
    assert_null(load("ShowErrors = true WorkerThreads = -1 Listen = '*:9000'"));
    assert_string_equal(logged, "");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults_are_those_of_the_contract),
        TEST(test_the_file_may_compute),
        TEST(test_default_headers_are_made_whole_lines),
        TEST(test_every_mistake_is_reported),
        TEST(test_a_refused_file_does_not_warn_of_risks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
