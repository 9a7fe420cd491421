/* Values of each kind: read, refused with a message, or bent as earlier versions did. */
#include "config/option.h"
#include "config/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <inttypes.h>
#include <limits.h>

#include "tests/unit/config_fixture.h"

static void test_values_of_every_type_are_read(void **state)
{
    (void)state;
    struct config *c = load_good(
        "Listen = '127.0.0.1:9000' WorkerThreads = 2^3 Daemonize = true\n"
        "ScriptMemoryLimit = 1024 * 1024 * 1024 RequestTimeout = 0.5\n"
        "Watchdog = 1.25 KeepAliveTimeout = 0 ReadTimeout = 0.00001\n"
        "ListenMode = '600' AllowedExtensions = {'.lua', '.lp'}\n"
        "LogLevel = 'Debug' SessionCookieSecure = true SessionCookieSameSite = 'none'\n"
        "Backlog = -1 PidFile = '/run/x.pid' SessionTime = 315360000\n");
    assert_string_equal(c->file, file);
    assert_string_equal(c->listen, "127.0.0.1:9000");
    assert_int_equal(c->worker_threads, 8);
    assert_true(c->daemonize);
    assert_true(c->script_memory_limit == INT64_C(1024) * 1024 * 1024);
    assert_int_equal(c->request_timeout, 500);
    assert_int_equal(c->watchdog, 1250);
    assert_int_equal(c->keep_alive_timeout, 0);
    assert_int_equal(c->read_timeout, 1); /* more than 0 never becomes "no limit" */
    assert_int_equal(c->listen_mode, 0600);
    assert_string_equal(c->allowed_extensions[0], ".lua");
    assert_string_equal(c->allowed_extensions[1], ".lp");
    assert_null(c->allowed_extensions[2]);
    assert_int_equal(c->log_level, LOG_LEVEL_DEBUG);
    assert_int_equal(c->session_cookie_secure, CONFIG_SECURE_YES);
    assert_int_equal(c->session_cookie_same_site, CONFIG_SAME_SITE_NONE);
    assert_int_equal(c->backlog, 511);
    assert_string_equal(c->pid_file, "/run/x.pid");
    assert_true(c->session_time == INT64_C(315360000000));
    config_unref(c);
}

static void test_relative_paths_count_from_the_start_directory(void **state)
{
    (void)state;
    char here[PATH_MAX], expected[PATH_MAX + 64];
    assert_non_null(getcwd(here, sizeof here));
    config_unref(load_good("")); /* the first load notes the directory */
    assert_int_equal(chdir("/"), 0);
    struct config *c =
        load_good("SessionFile = 'sessions' LogFilePath = '' SlowLogPath = 'slow'");
    assert_int_equal(chdir(here), 0);
    snprintf(expected, sizeof expected, "%s/sessions", here);
    assert_string_equal(c->session_file, expected);
    assert_string_equal(c->log_file_path, "");
    snprintf(expected, sizeof expected, "%s/slow", here);
    assert_string_equal(c->slow_log_path, expected);
    config_unref(c);
}

static void test_mistakes_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"WorkerThreads = 'four'",
         "WorkerThreads: expected an integer from 1 to 1024, got \"four\""},
        {"WorkerThreads = 1025 LuaTotalStates = 2000",
         "WorkerThreads: expected an integer from 1 to 1024, got 1025"},
        {"WorkerThreads = 2^40",
         "WorkerThreads: expected an integer from 1 to 1024, got 1099511627776"},
        {"WorkerThreads = math.mininteger",
         "WorkerThreads: expected an integer from 1 to "
         "1024, got -9223372036854775808"},
        {"WorkerThreads = {}",
         "WorkerThreads: expected an integer from 1 to 1024, got a table"},
        {"WorkerThreads = print",
         "WorkerThreads: expected an integer from 1 to 1024, got a function"},
        {"WorkerThreads = false",
         "WorkerThreads: expected an integer from 1 to 1024, got false"},
        {"MaxConnections = '4'",
         "MaxConnections: expected an integer from 1 to 1000000, got \"4\" (a string: "
         "leave out the quotes)"},
        {"MaxConnections = 2.5",
         "MaxConnections: expected an integer from 1 to 1000000, got 2.5"},
        {"RequestTimeout = '4'",
         "RequestTimeout: expected a number of seconds from 0 to 86400, got \"4\" (a "
         "string: leave out the quotes)"},
        {"workers = 'four'", "workers: expected an integer from 1 to 1024, got \"four\""},
        {"Daemonize = 1", "Daemonize: expected true or false, got 1"},
        {"Buffering = 'yes'", "Buffering: expected true or false, got \"yes\""},
        {"RequestTimeout = -1",
         "RequestTimeout: expected a number of seconds from 0 to 86400, got -1"},
        {"RequestTimeout = 0/0",
         "RequestTimeout: expected a number of seconds from 0 to 86400, got nan"},
        {"RequestTimeout = 1/0",
         "RequestTimeout: expected a number of seconds from 0 to 86400, got inf"},
        {"MaxPostSize = 2^41",
         "MaxPostSize: expected an integer from 0 to 1099511627776, "
         "got 2199023255552"},
        {"PidFile = 5", "PidFile: expected a string, got 5"},
        {"PidFile = 'a\\0b'", "PidFile: expected a string, got \"a\\x00b\""},
        {"LogLevel = 'loud'", "LogLevel: expected \"error\", \"warning\", \"info\" or "
                              "\"debug\", got \"loud\""},
        {"SessionCookieSecure = 1",
         "SessionCookieSecure: expected true, false or \"auto\", got 1"},
        {"ListenMode = 660", "ListenMode: expected octal permissions in quotes such as "
                             "\"0660\", got 660"},
        {"ListenMode = '0888'",
         "ListenMode: expected octal permissions in quotes such as "
         "\"0660\", got \"0888\""},
        {"ListenMode = '4777'",
         "ListenMode: expected octal permissions in quotes such as "
         "\"0660\", got \"4777\""},
        {"AllowedExtensions = '.lua'", "AllowedExtensions: expected a list of extensions "
                                       "such as {\".lua\"}, got \".lua\""},
        {"AllowedExtensions = {lua = true}",
         "AllowedExtensions: expected a list of "
         "extensions such as {\".lua\"}, got a table"},
        {"AllowedExtensions = {'.lua', 'lp'}",
         "AllowedExtensions[2]: expected an extension such as \".lua\", got \"lp\""},
        {"AllowedExtensions = {5}",
         "AllowedExtensions[1]: expected an extension such as \".lua\", got 5"},
        {"DefaultHttpStatus = '299'",
         "DefaultHttpStatus: expected a status such as \"200 OK\", got \"299\""},
        {"httpstatus = 200.5",
         "httpstatus: expected a status such as \"200 OK\", got 200.5"},
        {"DefaultHttpStatus = '200 OK\\r\\nX: y'", "DefaultHttpStatus: expected a status "
                                                   "such as \"200 OK\", got \"200 "
                                                   "OK\\r\\nX: y\""},
        {"DefaultContentType = 'html'", "DefaultContentType: expected a media type such "
                                        "as \"text/html\", got \"html\""},
        {"headers = 'no colon'",
         "headers: expected lines \"Name: value\" without control "
         "characters, got \"no colon\""},
        {"SessionName = 'a=b'",
         "SessionName: expected a cookie name: letters, digits and "
         "!#$%&'*+-.^_`|~, got \"a=b\""},
        {"SessionCookieDomain = '_'", "SessionCookieDomain: expected a domain name such "
                                      "as \"example.org\", got \"_\""},
        {"User = 'no such user'", "User: expected the name or number of a user of this "
                                  "system, got \"no such user\""},
        {"ListenGroup = 'no such group'", "ListenGroup: expected the name or number of a "
                                          "group of this system, got \"no such group\""},
        {"AccessLogPath = 'syslog:daemon'",
         "AccessLogPath: expected a path (only LogFilePath may be \"syslog:...\"), got "
         "\"syslog:daemon\""},
        {"SlowLogPath = 'syslog:'",
         "SlowLogPath: expected a path (only LogFilePath may be \"syslog:...\"), got "
         "\"syslog:\""},
        {"SlowLogPath = 5", "SlowLogPath: expected a path (only LogFilePath may be "
                            "\"syslog:...\"), got 5"},
        {"Config = 5", "Config: expected a table, got 5"},
        {"StartupScript = ('x'):rep(100) .. 5 StartupScript = {}",
         "StartupScript: expected a string, got a table"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_mistake(rows[i].text, rows[i].message);
}

static void test_long_values_are_shortened_in_messages(void **state)
{
    (void)state;
    assert_null(load("LogLevel = ('x'):rep(100000)"));
    assert_true(strlen(errors) < 300);
    assert_non_null(strstr(errors, "xxx...\"\n"));
}

static void test_key_length_shows_the_arithmetic(void **state)
{
    (void)state;
    assert_warning("SessionKeyLen = 16",
                   "SessionKeyLen: expected an integer from 22 to 128, got 16 (16 "
                   "characters x 5.95 bits = 95.2 bits, and a key needs 128: 22 x 5.95 = "
                   "130.9); 22 is used\n");
    assert_mistake("SessionKeyLen = 129",
                   "SessionKeyLen: expected an integer from 22 to 128, got 129");
    config_unref(load_good("SessionKeyLen = 22"));
}

static void test_listen_is_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"/var/tmp/luafcgid2.sock",
                                       "./x.sock",
                                       "run/x.sock",
                                       "x.sock",
                                       "/tmp/a:b",
                                       ":9000",
                                       "*:9000",
                                       "127.0.0.1:9000",
                                       "localhost:1",
                                       "[::1]:9000",
                                       "[::]:65535",
                                       "example.org:9000",
                                       "fd:0",
                                       "fd:3"};
    static const char *const bad[] = {
        "",         "9000",  ":0",       ":65536",      ":",         "127.0.0.1:",
        "::1:9000", "[::1]", "[::1]:0",  "[x]:9000",    "[::1:9000", "fd:",
        "fd:-1",    "fd:x",  "a b:9000", "unix:/tmp/x", "host:http", ":9000x"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        if (!text_listen(good[i]))
            fail_msg("%s was refused", good[i]);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        if (text_listen(bad[i]))
            fail_msg("%s was accepted", bad[i]);
    char path[200];
    memset(path, 'x', sizeof path);
    path[0] = '/';
    path[107] = '\0';
    assert_true(text_listen(path));
    path[107] = 'x';
    path[199] = '\0';
    assert_false(text_listen(path));
    assert_mistake("Listen = 9000",
                   "Listen: expected a unix socket path, \"host:port\", \"[v6]:port\", "
                   "\":port\", \"*:port\" or \"fd:N\", got 9000");
}

static void test_texts_are_checked(void **state)
{
    (void)state;
    assert_true(text_headers("A: b\r\nX-Y: \xc3\xa9 z\n"));
    assert_true(text_headers("A:"));
    assert_false(text_headers("A: b\rC: d"));
    assert_false(text_headers("A : b"));
    assert_false(text_headers(" A: b"));
    assert_false(text_headers(": b"));
    assert_false(text_headers("A: \x01"));
    assert_false(text_headers("A: b\r\n\x7f"));
    assert_true(text_status("404 Not Found"));
    assert_false(text_status("099 Low"));
    assert_false(text_status("600 High"));
    assert_false(text_status("200  OK"));
    assert_false(text_status("200 "));
    assert_true(text_content_type("text/html; charset=utf-8"));
    assert_false(text_content_type("text/"));
    assert_false(text_content_type("text/html\n"));
    assert_true(text_domain("example.org"));
    assert_true(text_domain(".example.org"));
    assert_false(text_domain("example..org"));
    assert_false(text_domain("example.org."));
    assert_false(text_domain("exa mple"));
    assert_false(text_domain("a;Secure"));
    assert_true(text_user("0"));
    assert_true(text_user("root"));
    assert_false(text_extension("."));
    assert_false(text_extension("./x"));
}

/* A number option has that value after `text`, of which a warning tells. */
static void assert_bent(const char *text, const char *option, const char *message,
                        int64_t expected)
{
    const struct option_row *o = option_named(option);
    struct config *c = load_good(text);
    const void *at = (const char *)c + o->offset;
    bool is_int = o->kind == OPTION_INTEGER;
    int64_t value = is_int ? *(const int *)at : *(const int64_t *)at;
    config_unref(c);
    if (value != expected)
        fail_msg("%s gives %" PRId64 ", not %" PRId64, text, value, expected);
    if (strstr(logged, message) == NULL)
        fail_msg("%s: expected the warning \"%s\", got \"%s\"", text, message, logged);
}

static void test_what_earlier_versions_lived_with_is_bent(void **state)
{
    (void)state;
    static const struct {
        const char *text, *option, *message;
        int64_t value;
    } rows[] = {
        {"workers = 0", "WorkerThreads",
         "workers: expected an integer from 1 to 1024, got "
         "0; 1 is used\n",
         1},
        {"WorkerThreads = '4'", "WorkerThreads",
         "got \"4\" (a string: leave out the "
         "quotes); 4 is used\n",
         4},
        {"WorkerThreads = ' 0x10 '", "WorkerThreads", "; 16 is used\n", 16},
        {"states = 10 clones = states / 4", "LuaMaxStates", "got 2.5; 2 is used\n", 2},
        {"states = 11 clones = states / 4", "LuaMaxStates", "got 2.75; 3 is used\n", 3},
        {"states = 1 workers = 1 clones = states / 4", "LuaMaxStates",
         "got 0.25; 1 is used\n", 1},
        {"clones = '2.5'", "LuaMaxStates",
         "got \"2.5\" (a string: leave out the quotes); "
         "2 is used\n",
         2},
        {"LuaStates = 0", "LuaStates", "got 0; 1 is used\n", 1},
        {"clones = 0", "LuaMaxStates", "got 0; 1 is used\n", 1},
        {"states = 0 workers = 1", "LuaTotalStates", "got 0; 1 is used\n", 1},
        {"LuaStates = 9 LuaMaxStates = 6", "LuaStates",
         "LuaStates: expected at most LuaMaxStates (6), got 9; 6 is used\n", 6},
        {"threads = 2 states = 9 maxstates = 6", "LuaStates",
         "states: expected at most maxstates (6), got 9; 6 is used\n", 6},
        {"workers = 8 states = 5", "LuaTotalStates",
         "states: expected at least workers (8), as each worker uses a state, got 5; 8 "
         "is "
         "used\n",
         8},
        {"MinFileInfoTime = 0", "MinFileInfoTime", "got 0; 1 is used\n", 1},
        {"sweep = 2^30", "MinFileInfoTime", "got 1073741824; 3600000 is used\n", 3600000},
        {"backlog = 65536", "Backlog", "got 65536; 65535 is used\n", 65535},
        {"bodysectors = 2.2", "BodySectors",
         "bodysectors: expected an integer from 0 to "
         "1024, got 2.2; 2 is used\n",
         2},
        {"bodysize = 2^21", "BodySize", "got 2097152; 1048576 is used\n", 1048576},
        {"maxpost = '1048576'", "MaxPostSize", "; 1048576 is used\n", 1048576},
        {"maxpost = 1e6 / 3", "MaxPostSize", "got 333333.33333333; 333333 is used\n",
         333333},
        {"retries = 2000", "LuaMaxSearchRetries", "; 1000 is used\n", 1000},
        {"watchdog = '5'", "Watchdog", "; 5 is used\n", 5000},
        {"SessionTime = 1e9", "SessionTime", "got 1000000000; 315360000 is used\n",
         INT64_C(315360000000)},
        {"SessionKeyLen = 1", "SessionKeyLen", "; 22 is used\n", 22},
        {"SessionIpScore = '2.5'", "SessionIpScore", "; 2 is used\n", 2},
        {"SessionTargetScore = -1.75", "SessionTargetScore", "got -1.75; -2 is used\n",
         -2},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_bent(rows[i].text, rows[i].option, rows[i].message, rows[i].value);
    assert_silent("bodysectors = 3 backlog = -1 workers = 2.0");
}

/* One row of the table after the other, whatever is added to it. */
static void test_each_row_bends_what_its_flags_say_and_refuses_the_rest(void **state)
{
    (void)state;
    char text[128], used[64];
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *o = &option_rows[i];
        if (o->kind != OPTION_INTEGER && o->kind != OPTION_BYTES &&
            o->kind != OPTION_SECONDS)
            continue;
        snprintf(text, sizeof text, "%s = '%" PRId64 "'", o->name, o->max);
        snprintf(used, sizeof used, "; %" PRId64 " is used\n", o->max);
        struct config *c = load(text);
        if ((c != NULL) != o->bends || (o->bends && strstr(logged, used) == NULL))
            fail_msg("%s: \"%s\" \"%s\"", text, errors, logged);
        config_unref(c);
        const int64_t outside[] = {o->min - 1, o->max + 1};
        for (int side = 0; side < 2; side++) {
            snprintf(text, sizeof text, "%s = %" PRId64, o->name, outside[side]);
            c = load(text);
            bool bends =
                o->bends && (side == 0 ? o->lowest < o->min : o->highest > o->max);
            if ((c != NULL) != bends)
                fail_msg("%s: \"%s\" \"%s\"", text, errors, logged);
            config_unref(c);
        }
        snprintf(text, sizeof text, "%s = 'four'", o->name);
        assert_null(load(text));
    }
}

static void test_a_status_that_is_only_a_number_is_bent(void **state)
{
    (void)state;
    static const struct {
        const char *text, *status;
    } rows[] = {
        {"httpstatus = 200", "200 OK"},
        {"httpstatus = '404'", "404 Not Found"},
        {"DefaultHttpStatus = 503.0", "503 Service Unavailable"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char used[64];
        struct config *c = load_good(rows[i].text);
        assert_string_equal(c->default_http_status, rows[i].status);
        config_unref(c);
        snprintf(used, sizeof used, "; \"%s\" is used\n", rows[i].status);
        assert_non_null(strstr(logged, used));
    }
}

static void test_a_default_status_that_is_no_answer_is_refused(void **state)
{
    (void)state;
    assert_mistake("DefaultHttpStatus = '100 Continue'",
                   "DefaultHttpStatus: expected a status such as \"200 OK\", got "
                   "\"100 Continue\"");
    assert_mistake("DefaultHeaders = 'X-A: 1\\r\\nStatus: 100 Continue'",
                   "DefaultHeaders: expected lines \"Name: value\" without control "
                   "characters, got \"X-A: 1\\r\\nStatus: 100 Continue\"");
    assert_mistake("headers = 'status: fine'",
                   "headers: expected lines \"Name: value\" without control characters, "
                   "got \"status: fine\"");
    config_unref(load_good("DefaultHeaders = 'Status:  404\\r\\nStatus-X: 1'"));
}

static void test_sizes_beyond_the_address_space_do_not_wrap(void **state)
{
    (void)state;
    struct config *c = load_good("ScriptMemoryLimit = 2^40 MaxPostSize = 2^32");
    assert_true(c->script_memory_limit == (int64_t)(size_t)c->script_memory_limit);
    assert_true((size_t)c->script_memory_limit >= INT32_MAX);
    assert_true((size_t)c->max_post_size >= INT32_MAX);
    config_unref(c);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_values_of_every_type_are_read),
        TEST(test_relative_paths_count_from_the_start_directory),
        TEST(test_mistakes_are_named),
        TEST(test_long_values_are_shortened_in_messages),
        TEST(test_key_length_shows_the_arithmetic),
        TEST(test_listen_is_checked),
        TEST(test_texts_are_checked),
        TEST(test_what_earlier_versions_lived_with_is_bent),
        TEST(test_each_row_bends_what_its_flags_say_and_refuses_the_rest),
        TEST(test_a_status_that_is_only_a_number_is_bent),
        TEST(test_a_default_status_that_is_no_answer_is_refused),
        TEST(test_sizes_beyond_the_address_space_do_not_wrap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
