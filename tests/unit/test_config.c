/* The config room: what a configuration file may say, what each mistake is answered with,
 * and how the published configuration is handed out. */
#include "base/value.h"
#include "config.h"
#include "config/option.h"
#include "config/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64], file[96], log_file[96];
static char errors[65536], logged[65536];

static int set_up(void **state)
{
    (void)state;
    strcpy(directory, "/tmp/test_config.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(file, sizeof file, "%s/config.lua", directory);
    snprintf(log_file, sizeof log_file, "%s/log", directory);
    assert_true(log_open(log_file, LOG_LEVEL_DEBUG));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_true(log_open("", LOG_LEVEL_INFO));
    unlink(file);
    unlink(log_file);
    assert_int_equal(rmdir(directory), 0);
    return 0;
}

static void write_file(const char *text)
{
    FILE *out = fopen(file, "w");
    assert_non_null(out);
    fputs(text, out);
    fclose(out);
}

static void read_log(void)
{
    FILE *in = fopen(log_file, "r");
    assert_non_null(in);
    logged[fread(logged, 1, sizeof logged - 1, in)] = '\0';
    fclose(in);
}

/* Loads `name`; what was complained of is in `errors`, what was logged in `logged`. */
static struct config *load_file(const char *name)
{
    assert_int_equal(truncate(log_file, 0), 0);
    FILE *out = fmemopen(errors, sizeof errors, "w");
    assert_non_null(out);
    struct config *c = config_load(name, out);
    fflush(out);
    long len = ftell(out);
    fclose(out);
    errors[len] = '\0';
    if (c != NULL)
        config_log_warnings(c);
    read_log();
    return c;
}

static struct config *load(const char *text)
{
    write_file(text);
    return load_file(file);
}

static struct config *load_good(const char *text)
{
    struct config *c = load(text);
    if (c == NULL)
        fail_msg("%s: %s", text, errors);
    assert_string_equal(errors, "");
    return c;
}

/* The file is refused, with just that message after its name. */
static void assert_mistake(const char *text, const char *message)
{
    char expected[1024];
    snprintf(expected, sizeof expected, "%s: %s\n", file, message);
    struct config *c = load(text);
    if (c != NULL)
        fail_msg("%s was accepted", text);
    assert_string_equal(errors, expected);
}

static void assert_warning(const char *text, const char *message)
{
    struct config *c = load_good(text);
    config_unref(c);
    if (strstr(logged, message) == NULL)
        fail_msg("%s: expected the warning \"%s\", got \"%s\"", text, message, logged);
}

static void assert_silent(const char *text)
{
    config_unref(load_good(text));
    assert_string_equal(logged, "");
}

/* -- Values -- */

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
    assert_int_equal(c->max_connections, 1024);
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

static void test_relative_paths_count_from_the_start_directory(void **state)
{
    (void)state;
    char here[PATH_MAX], expected[PATH_MAX + 64];
    assert_non_null(getcwd(here, sizeof here));
    config_unref(load_good("")); /* the first load notes the directory */
    assert_int_equal(chdir("/"), 0);
    struct config *c = load_good("SessionFile = 'sessions' LogFilePath = ''");
    assert_int_equal(chdir(here), 0);
    snprintf(expected, sizeof expected, "%s/sessions", here);
    assert_string_equal(c->session_file, expected);
    assert_string_equal(c->log_file_path, "");
    config_unref(c);
}

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

/* -- Mistakes -- */

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

static void test_lua_errors_name_file_and_line(void **state)
{
    (void)state;
    char expected[256];
    static const struct {
        const char *text, *rest;
    } rows[] = {
        {"\n\nWorkerThreads =\n", ":4: unexpected symbol near <eof>\n"},
        {"\nerror('no')\n", ":2: no\n"},
        {"error('no', 0)", ": no\n"},
        {"#!/usr/bin/lua\nx =", ":2: unexpected symbol near <eof>\n"},
        {"\xef\xbb\xbfx =", ":1: unexpected symbol near <eof>\n"},
        {"\xef\xbb\xbf# first\nx =", ":2: unexpected symbol near <eof>\n"},
        {"os.exit()",
         ":1: os.exit would end the daemon, and is not for a configuration\n"},
        {"pcall(os.exit) setmetatable({}, { __gc = print })",
         ":1: a finalizer (__gc) is not for a configuration\n"},
        {"getmetatable(io.stdout).__gc = print", ":1: attempt to index a string value\n"},
        {"local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end",
         ": needs more than 64 MiB of memory\n"},
        {"coroutine.yield()", ": attempt to yield from outside a coroutine\n"},
        {"error()", ": the file raised an error without a message (nil)\n"},
        {"error({})", ": the file raised an error without a message (table)\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_null(load(rows[i].text));
        snprintf(expected, sizeof expected, "%s%s", file, rows[i].rest);
        assert_string_equal(errors, expected);
    }
}

static void test_a_long_file_name_is_given_whole(void **state)
{
    (void)state;
    char name[256], expected[320];
    snprintf(name, sizeof name, "%s/%080d.lua", directory, 0);
    write_file("x =");
    assert_int_equal(rename(file, name), 0);
    assert_null(load_file(name));
    assert_int_equal(unlink(name), 0);
    snprintf(expected, sizeof expected, "%s:1: unexpected symbol near <eof>\n", name);
    assert_string_equal(errors, expected);
}

static void test_unreadable_files_are_reported(void **state)
{
    (void)state;
    assert_null(load_file("/nonexistent/config.lua"));
    assert_string_equal(
        errors, "/nonexistent/config.lua: cannot be read: No such file or directory\n");
    assert_null(load_file(directory));
    assert_non_null(strstr(errors, "Is a directory\n"));
}

static void test_bytecode_is_refused(void **state)
{
    (void)state;
    assert_null(load("\x1bLua"));
    assert_non_null(strstr(errors, "attempt to load a binary chunk"));
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

/* -- What earlier members of the family took and lived with -- */

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

static void test_functions_in_config_are_left_out(void **state)
{
    (void)state;
    struct config *c =
        load_good("Config = { a = 1, f = print, list = { 1, print, { g = load } },\n"
                  "  [print] = 2, deep = { [load] = { print }, h = 'x' } }");
    static const char *const warnings[] = {
        "Config.f: a function cannot be given to scripts; it is left out\n",
        "Config.list[2]: a function cannot be given",
        "Config.list[3].g: a function cannot be given",
        "Config: a function as a key cannot be given",
        "Config.deep: a function as a key cannot be given",
    };
    for (size_t i = 0; i < sizeof warnings / sizeof warnings[0]; i++)
        if (strstr(logged, warnings[i]) == NULL)
            fail_msg("%s is missing in %s", warnings[i], logged);
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    assert_true(value_push(L, c->app, c->app_len));
    lua_setglobal(L, "C");
    if (luaL_dostring(L, "assert(C.a == 1 and C.f == nil and C.deep.h == 'x')\n"
                         "assert(C.list[1] == 1 and not C.list[2] and C.list[3])\n"
                         "assert(not next(C.list[3]) and next(C.deep, 'h') == nil)\n"))
        fail_msg("%s", lua_tostring(L, -1));
    lua_close(L);
    config_unref(c);
}

/* -- Options together -- */

static void test_states_must_fit_each_other(void **state)
{
    (void)state;
    assert_mistake("WorkerThreads = 8 LuaTotalStates = 5",
                   "LuaTotalStates: expected at least WorkerThreads (8), as each worker "
                   "uses a state, got 5");
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

/* -- Warnings -- */

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

static void test_other_globals_are_nobodys_business(void **state)
{
    (void)state;
    assert_silent("cores = 4 hostname = 'pi' WorkerThreads = cores\n"
                  "function handlers() end\n"
                  "_G[1] = 2 _G[true] = 3 x = 1 os2 = os\n");
}

static void test_risky_values_are_warned_about(void **state)
{
    (void)state;
    assert_warning("Listen = '*:9000'", "whoever can connect to *:9000");
    assert_warning("Listen = '192.168.1.4:9000'", "whoever can connect to");
    assert_warning("Listen = '[::]:9000'", "whoever can connect to");
    assert_warning("ListenMode = '0666'", "every user of this machine");
    assert_warning("AllowedExtensions = {}", "lets every file be run");
    assert_warning("showerrors = true", "showerrors: visitors see error messages");
    assert_warning("RequestTimeout = 0", "run for ever");
    assert_warning("ScriptMemoryLimit = 0", "use all memory");
    assert_warning("ScriptMemoryLimit = 1000", "hardly enough");
    assert_warning("BodySize = 1048576 BodySectors = 1024", "1073741824 bytes");
    assert_warning("MinFileInfoTime = 1", "keeps a processor busy");
    assert_warning("SessionTargetScore = 7", "cannot be reached: all scores add up to 6");
    assert_warning("SessionCookieHttpOnly = false", "read the key");
    assert_warning("SessionTime = 0 SessionMaxAge = 0", "no session ever ends");
    assert_silent("Listen = ':9000'");
    assert_silent("Listen = '127.0.0.1:9000'");
    assert_silent("Listen = '[::1]:9000'");
    assert_silent("SessionTargetScore = 0 SessionIpScore = 0 SessionUserAgentScore = 0");
}

static void test_risks_are_logged_when_the_configuration_is_published(void **state)
{
    (void)state;
    write_file("ShowErrors = true workers = 3 WorkerThreads = 3");
    struct config *c = config_load(file, stderr);
    assert_non_null(c);
    read_log();
    assert_string_equal(logged, ""); /* at the start the log is not open yet */
    config_publish(c);
    config_publish(NULL);
    read_log();
    assert_non_null(strstr(logged, "ShowErrors: visitors see"));
    assert_non_null(strstr(logged, "workers is ignored"));
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

static void test_sizes_beyond_the_address_space_do_not_wrap(void **state)
{
    (void)state;
    struct config *c = load_good("ScriptMemoryLimit = 2^40 MaxPostSize = 2^32");
    assert_true(c->script_memory_limit == (int64_t)(size_t)c->script_memory_limit);
    assert_true((size_t)c->script_memory_limit >= INT32_MAX);
    assert_true((size_t)c->max_post_size >= INT32_MAX);
    config_unref(c);
}

static void test_a_refused_file_does_not_warn_of_risks(void **state)
{
    (void)state;
    assert_null(load("ShowErrors = true WorkerThreads = -1 Listen = '*:9000'"));
    assert_string_equal(logged, "");
}

/* -- The table Config -- */

static void test_config_is_copied_deeply(void **state)
{
    (void)state;
    struct config *c =
        load_good("Config = { n = 5, f = 5.0, b = false, s = 'a\\0b', [2] = 'two',\n"
                  "  list = { 1, 2, { deep = 'x' } }, [1.5] = true }");
    lua_State *L = luaL_newstate();
    assert_non_null(L);
    luaL_openlibs(L);
    assert_true(value_push(L, c->app, c->app_len));
    lua_setglobal(L, "C");
    if (luaL_dostring(L, "assert(math.type(C.n) == 'integer' and C.n == 5)\n"
                         "assert(math.type(C.f) == 'float' and C.f == 5)\n"
                         "assert(C.b == false and C.s == 'a\\0b' and C[2] == 'two')\n"
                         "assert(#C.list == 3 and C.list[3].deep == 'x' and C[1.5])\n"))
        fail_msg("%s", lua_tostring(L, -1));
    lua_close(L);
    config_unref(c);
}

static void test_what_config_cannot_hold_is_named_with_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"Config = { [1] = { ['a b'] = coroutine.create(print) } }",
         "Config[1][\"a b\"]: a coroutine cannot be given to scripts"},
        {"Config = { [1.5] = { [true] = io.stdout } }",
         "Config[1.5][true]: a userdata cannot be given to scripts"},
        {"Config = { x = { [{}] = 1 } }",
         "Config.x: a table as a key cannot be given to scripts"},
        {"Config = { a = {} } Config.a.b = Config",
         "Config.a.b: a table that contains itself cannot be given to scripts"},
        {"Config = { x = ('x'):rep(16 * 1024 * 1024) }",
         "Config: a value of more than 16 MiB cannot be given to scripts"},
        {"Config = {} local t = Config for i = 1, 100 do t.a = {} t = t.a end", NULL},
    };
    for (size_t i = 0; i + 1 < sizeof rows / sizeof rows[0]; i++)
        assert_mistake(rows[i].text, rows[i].message);
    assert_null(load(rows[5].text));
    assert_non_null(strstr(errors, ".a.a.a: nested too deep to be given to scripts\n"));
}

/* -- Restart, publication, help -- */

static void test_start_only_options_that_changed_are_named(void **state)
{
    (void)state;
    char names[256] = "x";
    struct config *a = load_good("");
    struct config *b = load_good("LuaMaxStates = 9 RequestTimeout = 5 Config = {1}\n"
                                 "AllowedExtensions = {'.x'} LogLevel = 'debug'");
    assert_false(config_needs_restart(a, b, names, sizeof names));
    assert_string_equal(names, "");
    config_unref(b);
    b = load_good("WorkerThreads = 5 Listen = ':9000' Daemonize = true PidFile = '/p'\n"
                  "ListenMode = '0600' MaxHeadSize = 2048 User = 'root'");
    assert_true(config_needs_restart(a, b, names, sizeof names));
    assert_string_equal(
        names,
        "Listen, WorkerThreads, MaxHeadSize, ListenMode, User, PidFile, Daemonize");
    assert_true(config_needs_restart(a, b, names, 10));
    assert_string_equal(names, "Listen, W");
    config_unref(a);
    config_unref(b);
}

enum { READERS = 3, ROUNDS = 300 };

static void *read_published(void *argument)
{
    (void)argument;
    unsigned seen = config_generation();
    struct config *c = config_current();
    while (c->worker_threads != ROUNDS) {
        if (config_generation() == seen)
            continue;
        seen = config_generation();
        config_unref(c);
        c = config_current();
        assert_string_equal(c->entrypoint, "main");
    }
    config_unref(c);
    return NULL;
}

static void test_readers_keep_what_they_hold_while_others_publish(void **state)
{
    (void)state;
    pthread_t readers[READERS];
    assert_null(config_current());
    config_publish(load_good("WorkerThreads = 1"));
    struct config *first = config_current();
    unsigned before = config_generation();
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_published, NULL), 0);
    for (int i = 2; i <= ROUNDS; i++) {
        char text[64];
        snprintf(text, sizeof text, "WorkerThreads = %d", i);
        config_publish(load_good(text));
    }
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    assert_int_equal(config_generation(), before + ROUNDS - 1);
    assert_int_equal(first->worker_threads, 1);
    assert_ptr_equal(config_ref(first), first);
    config_unref(first);
    config_unref(first);
    config_publish(NULL);
    assert_null(config_current());
    config_unref(NULL);
}

static void test_help_fits_80_columns(void **state)
{
    (void)state;
    static char text[32768];
    FILE *out = fmemopen(text, sizeof text, "w");
    assert_non_null(out);
    config_print_options(out);
    fclose(out);
    size_t options = 0;
    char *at = text;
    for (char *line; (line = strsep(&at, "\n")) != NULL;) {
        if (strlen(line) > 80)
            fail_msg("%s", line);
        options += (line[0] == ' ' || line[0] == '*') && line[1] == ' ' && line[2] > ' ';
    }
    assert_true(options > 50);
}

static void test_distance_is_that_of_levenshtein(void **state)
{
    (void)state;
    assert_int_equal(text_distance("", "", 2), 0);
    assert_int_equal(text_distance("abc", "abc", 2), 0);
    assert_int_equal(text_distance("abc", "ab", 2), 1);
    assert_int_equal(text_distance("kitten", "sitting", 5), 3);
    assert_int_equal(text_distance("kitten", "sitting", 2), 3);
    assert_int_equal(text_distance("", "abc", 3), 3);
    assert_true(text_similar("Worker_Threads", "workerthreads"));
    assert_false(text_similar("Worker", "Workers"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_defaults_are_those_of_the_contract),
        TEST(test_values_of_every_type_are_read),
        TEST(test_the_file_may_compute),
        TEST(test_luafcgid_configuration_runs_unmodified),
        TEST(test_first_luafcgid2_configuration_runs_unmodified),
        TEST(test_luafcgid2_configuration_runs_unmodified),
        TEST(test_newer_name_wins_and_says_so),
        TEST(test_empty_string_under_an_old_name_is_not_set),
        TEST(test_default_headers_are_made_whole_lines),
        TEST(test_relative_paths_count_from_the_start_directory),
        TEST(test_script_root_through_a_link_stays_as_given),
        TEST(test_a_startup_script_that_is_not_there_is_a_mistake),
        TEST(test_mistakes_are_named),
        TEST(test_long_values_are_shortened_in_messages),
        TEST(test_every_mistake_is_reported),
        TEST(test_key_length_shows_the_arithmetic),
        TEST(test_lua_errors_name_file_and_line),
        TEST(test_a_long_file_name_is_given_whole),
        TEST(test_unreadable_files_are_reported),
        TEST(test_bytecode_is_refused),
        TEST(test_listen_is_checked),
        TEST(test_texts_are_checked),
        TEST(test_what_earlier_versions_lived_with_is_bent),
        TEST(test_each_row_bends_what_its_flags_say_and_refuses_the_rest),
        TEST(test_a_status_that_is_only_a_number_is_bent),
        TEST(test_functions_in_config_are_left_out),
        TEST(test_states_must_fit_each_other),
        TEST(test_a_default_gives_way_to_what_was_set),
        TEST(test_cookie_settings_must_not_contradict_each_other),
        TEST(test_unknown_names_close_to_an_option_are_warned_about),
        TEST(test_other_globals_are_nobodys_business),
        TEST(test_risky_values_are_warned_about),
        TEST(test_risks_are_logged_when_the_configuration_is_published),
        TEST(test_unknown_names_are_warned_about_at_once_and_once),
        TEST(test_a_longer_session_time_switches_a_default_max_age_off),
        TEST(test_a_default_status_that_is_no_answer_is_refused),
        TEST(test_sizes_beyond_the_address_space_do_not_wrap),
        TEST(test_a_refused_file_does_not_warn_of_risks),
        TEST(test_config_is_copied_deeply),
        TEST(test_what_config_cannot_hold_is_named_with_its_path),
        TEST(test_start_only_options_that_changed_are_named),
        TEST(test_readers_keep_what_they_hold_while_others_publish),
        TEST(test_help_fits_80_columns),
        TEST(test_distance_is_that_of_levenshtein),
    };
    return cmocka_run_group_tests_name("config", tests, NULL, NULL);
}
