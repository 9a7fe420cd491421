/* Hooks: in which state they run, under which limits, and what is said of their errors.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lua.h>
#include <pthread.h>
#include <time.h>

#include "base/buffer.h"
#include "tests/unit/config_fixture.h"

static struct config *c;
static struct config_hooks *hooks;
static struct buffer error;
static int ends;

static int say(lua_State *L)
{
    log_info("%s", luaL_tolstring(L, 1, NULL));
    return 0;
}

/* A function in C that would not return. */
static int spin(lua_State *L)
{
    for (;;)
        config_hooks_check(L);
    return 0;
}

static void prepare(lua_State *L)
{
    lua_register(L, "spin", spin);
}

static void open_library(lua_State *L, const struct config *config)
{
    assert_ptr_equal(config, c);
    lua_register(L, "say", say);
}

static void end_hook(lua_State *L)
{
    (void)L;
    ends++;
}

static const struct config_library library = {prepare, open_library, end_hook};

/* Loads a file that has hooks, and opens them. */
static void begin(const char *text)
{
    write_file(text);
    c = config_load_hooks(file, stderr, &library, &hooks);
    assert_non_null(c);
    assert_non_null(hooks);
    ends = 0;
    assert_true(config_hooks_open(hooks, c, &error));
}

static void end(void)
{
    config_hooks_free(hooks);
    config_unref(c);
    buffer_free(&error);
}

/* Calls a hook, and returns the first line of its error; NULL: there was none. */
static const char *call(enum config_hook hook, int64_t timeout)
{
    static char line[256];
    error.len = 0;
    if (config_hooks_call(hooks, hook, "why", timeout, &error)) {
        assert_int_equal(error.len, 0);
        return NULL;
    }
    assert_true(buffer_append(&error, "", 1));
    snprintf(line, sizeof line, "%s", error.data);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

static void assert_fails(enum config_hook hook, int64_t timeout, const char *rest)
{
    char expected[256];
    const char *line = call(hook, timeout);
    assert_non_null(line);
    snprintf(expected, sizeof expected, "%s:%s", file, rest);
    assert_string_equal(line, expected);
}

static void a_file_without_hooks_keeps_no_state(void **state)
{
    (void)state;
    write_file("x = 1 function main() end");
    hooks = (struct config_hooks *)&ends;
    c = config_load_hooks(file, stderr, &library, &hooks);
    assert_non_null(c);
    assert_null(hooks);
    assert_false(c->on_start || c->on_heartbeat || c->on_stop);
    config_unref(c);
    config_hooks_free(NULL);
}

static void hooks_that_nobody_wants_are_checked_only(void **state)
{
    (void)state;
    config_unref(load_good("function OnStop() error() end"));
    assert_null(load("OnHeartbeat = 'x'"));
    assert_non_null(strstr(errors, ": OnHeartbeat: expected a function, got \"x\"\n"));
}

static void a_misspelt_hook_is_warned_about(void **state)
{
    (void)state;
    config_unref(load_good("function OnHeartBeat() end function OnStarted() end "
                           "function Listn() end OnStat = 1 function lisen() end"));
    assert_non_null(strstr(logged, "OnHeartBeat is not an option; did you mean "
                                   "OnHeartbeat?"));
    assert_null(strstr(logged, "Listn"));
    assert_null(strstr(logged, "lisen"));
    assert_null(strstr(logged, "OnStat is"));
}

static void hooks_share_the_variables_of_their_file(void **state)
{
    (void)state;
    begin("local n = 40 x = 1 "
          "function OnStart(why) n = n + x say(why .. n) end "
          "function OnHeartbeat() n = n + 1 say(n) end");
    assert_true(c->on_start && c->on_heartbeat && !c->on_stop);
    assert_int_equal(truncate(log_file, 0), 0);
    assert_null(call(CONFIG_ON_START, 0));
    assert_null(call(CONFIG_ON_HEARTBEAT, 0));
    assert_null(call(CONFIG_ON_STOP, 0)); /* there is none */
    read_log();
    assert_non_null(strstr(logged, "info: why41\n"));
    assert_non_null(strstr(logged, "info: 42\n"));
    assert_int_equal(ends, 3);
    end();
}

static void an_error_says_where_and_how_it_came_there(void **state)
{
    (void)state;
    begin("function inner() error('no') end\n"
          "function OnStart() inner() end\n"
          "function OnHeartbeat() error(setmetatable({}, {__tostring = function() "
          "return 'made' end})) end\n"
          "function OnStop() error() end");
    assert_fails(CONFIG_ON_START, 0, "1: no");
    assert_non_null(strstr(error.data, "stack traceback:"));
    assert_non_null(strstr(error.data, "in function 'OnStart'"));
    assert_string_equal(call(CONFIG_ON_HEARTBEAT, 0), "made");
    assert_string_equal(call(CONFIG_ON_STOP, 0), "(error object is a nil value)");
    assert_int_equal(ends, 3);
    end();
}

static void time_is_limited_whatever_a_hook_does(void **state)
{
    (void)state;
    begin("function OnStart() while true do end end\n"
          "function OnHeartbeat() while true do pcall(OnStart) end end\n"
          "function OnStop() local co = coroutine.wrap(function() "
          "while true do pcall(OnStart) end end) while true do pcall(co) end end");
    assert_fails(CONFIG_ON_START, 20, "1: took longer than 0.02 seconds");
    assert_fails(CONFIG_ON_HEARTBEAT, 20, "2: took longer than 0.02 seconds");
    assert_non_null(call(CONFIG_ON_STOP, 20));
    end();
}

static void time_is_limited_in_a_function_that_looks(void **state)
{
    (void)state;
    begin("local kept = spin\n"
          "function OnStart() kept() end\n"
          "function OnHeartbeat() while true do pcall(kept) end end\n"
          "function OnStop() coroutine.wrap(spin)() end");
    assert_fails(CONFIG_ON_START, 20, "2: took longer than 0.02 seconds");
    assert_fails(CONFIG_ON_HEARTBEAT, 20, "3: took longer than 0.02 seconds");
    assert_non_null(strstr(call(CONFIG_ON_STOP, 20), "took longer than 0.02 seconds"));
    end();
}

static void a_state_is_as_good_as_new_after_a_limit(void **state)
{
    (void)state;
    begin("local co function OnStart() "
          "co = coroutine.wrap(function() while true do coroutine.yield(1) end end) "
          "co() while true do end end "
          "function OnHeartbeat() for i = 1, 1e5 do co() end end");
    assert_non_null(call(CONFIG_ON_START, 20));
    assert_null(call(CONFIG_ON_HEARTBEAT, 0));
    end();
}

static void memory_is_limited(void **state)
{
    (void)state;
    begin("ScriptMemoryLimit = 2^20 "
          "function OnStart() local s = ('x'):rep(2^21) end "
          "function OnHeartbeat() local t = {} for i = 1, 1e7 do t[i] = {} end end "
          "function OnStop() return ('x'):rep(2^18) end");
    const char *expected = "needs more than 1024 KiB of memory (ScriptMemoryLimit)";
    assert_string_equal(call(CONFIG_ON_START, 0), expected);
    assert_string_equal(call(CONFIG_ON_HEARTBEAT, 0), expected);
    assert_null(call(CONFIG_ON_STOP, 0));
    end();
}

static void a_hook_cannot_end_or_change_the_process(void **state)
{
    (void)state;
    begin("function OnStart() os.exit(1) end "
          "function OnHeartbeat() assert(os.setlocale() == 'C') "
          "assert(os.setlocale('de_DE.UTF-8') == nil) end");
    assert_non_null(strstr(call(CONFIG_ON_START, 0), "os.exit would end the daemon"));
    assert_null(call(CONFIG_ON_HEARTBEAT, 0));
    end();
}

/* -- Children -- */

static void programs_are_run_as_by_scripts(void **state)
{
    (void)state;
    begin("function OnStart() "
          "assert(os.execute() == true) "
          "local ok, how, code = os.execute('exit 3') "
          "assert(ok == nil and how == 'exit' and code == 3) "
          "local p = io.popen('echo one; echo two') "
          "assert(p:read('a') == 'one\\ntwo\\n') "
          "ok, how, code = p:close() assert(ok and code == 0) "
          "p = io.popen('read x; exit $x', 'w') p:write('7\\n') "
          "ok, how, code = p:close() assert(not ok and code == 7) "
          "assert(not pcall(io.popen, 'true', 'x')) end");
    assert_null(call(CONFIG_ON_START, 0));
    end();
}

static void a_program_that_hangs_is_killed_with_its_hook(void **state)
{
    (void)state;
    begin("function OnStart() os.execute('sleep 1000; true') end "
          "function OnHeartbeat() io.popen('sleep 1000; true', 'w'):close() end "
          "function OnStop() kept = io.popen('sleep 1000; true') end");
    assert_fails(CONFIG_ON_START, 50, "1: took longer than 0.05 seconds");
    assert_fails(CONFIG_ON_HEARTBEAT, 50, "1: took longer than 0.05 seconds");
    assert_null(call(CONFIG_ON_STOP, 0));
    end(); /* the last one is killed, too */
}

static void *kill_soon(void *arg)
{
    static const struct timespec nap = {.tv_nsec = 10000000};
    for (volatile int *over = arg; !__atomic_load_n(over, __ATOMIC_ACQUIRE);) {
        nanosleep(&nap, NULL);
        config_hooks_hurry(hooks, 1);
        config_hooks_kill(hooks);
    }
    return NULL;
}

static void a_hook_that_reads_from_a_program_is_ended_from_outside(void **state)
{
    (void)state;
    int over = 0;
    pthread_t thread;
    begin(
        "function OnHeartbeat() io.popen('sleep 1000; true'):read('a') while true do end "
        "end function OnStop() for i = 1, 1e5 do end end");
    assert_int_equal(pthread_create(&thread, NULL, kill_soon, &over), 0);
    assert_fails(CONFIG_ON_HEARTBEAT, 0, "1: was ended, as the daemon stops");
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    pthread_join(thread, NULL);
    assert_null(call(CONFIG_ON_STOP, 0)); /* it has its own time */
    end();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_without_hooks_keeps_no_state),
        TEST(hooks_that_nobody_wants_are_checked_only),
        TEST(a_misspelt_hook_is_warned_about),
        TEST(hooks_share_the_variables_of_their_file),
        TEST(an_error_says_where_and_how_it_came_there),
        TEST(time_is_limited_whatever_a_hook_does),
        TEST(time_is_limited_in_a_function_that_looks),
        TEST(a_state_is_as_good_as_new_after_a_limit),
        TEST(memory_is_limited),
        TEST(a_hook_cannot_end_or_change_the_process),
        TEST(programs_are_run_as_by_scripts),
        TEST(a_program_that_hangs_is_killed_with_its_hook),
        TEST(a_hook_that_reads_from_a_program_is_ended_from_outside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
