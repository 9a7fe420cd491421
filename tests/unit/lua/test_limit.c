/* Limits of Lua states, tested alone: memory, time, the end by os.exit, and the watch
 * over late threads. */
#include "base/watch.h"
#include "lua/limit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* -- A state -- */

static struct limit limit;

static int break_by_time(lua_State *L)
{
    (void)L;
    limit_break(&limit, LIMIT_TIME);
    return 0;
}

static int break_by_exit(lua_State *L)
{
    (void)L;
    limit_break(&limit, LIMIT_EXIT);
    return 0;
}

static lua_State *open_state(size_t max)
{
    limit = (struct limit){.max = max};
    lua_State *L = limit_newstate(&limit);
    assert_non_null(L);
    luaL_openlibs(L);
    lua_register(L, "late", break_by_time);
    lua_register(L, "leave", break_by_exit);
    return L;
}

/* Runs the text as the daemon does. Returns what lua_pcall returns; the message of an
 * error is on the stack. */
static int run(lua_State *L, const char *text)
{
    lua_settop(L, 0);
    assert_int_equal(luaL_loadstring(L, text), LUA_OK);
    limit_enter(&limit);
    int status = lua_pcall(L, 0, 0, 0);
    limit_leave(&limit);
    return status;
}

static void what_lua_allocates_is_counted(void **state)
{
    (void)state;
    lua_State *L = open_state(0);
    size_t before = limit.used;
    assert_true(before > 0);
    assert_int_equal(run(L, "s = ('x'):rep(1000000)"), LUA_OK);
    assert_in_range(limit.used, before + 1000000, before + 3000000);
    assert_int_equal(run(L, "s = nil collectgarbage()"), LUA_OK);
    assert_true(limit.used < before + 100000);
    limit_close(&limit, NULL);
    assert_int_equal(limit.used, 0);
}

static void memory_that_garbage_holds_is_no_reason_to_end(void **state)
{
    (void)state;
    lua_State *L = open_state(2 << 20);
    assert_int_equal(run(L, "for i = 1, 100 do local s = ('x'):rep(500000 + i) end"),
                     LUA_OK);
    assert_int_equal(limit_broken(&limit), LIMIT_NONE);
    limit_close(&limit, NULL);
}

static void a_script_out_of_memory_ends_whatever_it_catches(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "s = ('x'):rep(100000000)",
        "local t = {} while true do t[#t + 1] = {} end",
        "local t = {} while true do pcall(function() while true do t[#t + 1] = {} end "
        "end) end",
        "collectgarbage('stop') local t = {} while true do t = {t} end",
        "coroutine.wrap(function() local t = {} while true do t[#t + 1] = {} end end)()",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_State *L = open_state(2 << 20);
        assert_int_not_equal(run(L, texts[i]), LUA_OK);
        assert_int_equal(limit_broken(&limit), LIMIT_MEMORY);
        assert_true(limit.used < 3 << 20);
        assert_non_null(limit.where);
        assert_non_null(strstr(limit.where, limit_message(LIMIT_MEMORY)));
        limit_close(&limit, NULL);
    }
}

static void a_limit_of_zero_is_none(void **state)
{
    (void)state;
    lua_State *L = open_state(0);
    assert_int_equal(run(L, "s = ('x'):rep(50000000)"), LUA_OK);
    limit_close(&limit, NULL);
}

static void a_broken_limit_cannot_be_caught(void **state)
{
    (void)state;
    lua_State *L = open_state(0);
    assert_int_not_equal(run(L, "pcall(late) local n = 0 while true do pcall(function() "
                                "pcall(error) while true do n = n + 1 end end) end"),
                         LUA_OK);
    assert_int_equal(limit_broken(&limit), LIMIT_TIME);
    assert_string_equal(lua_tostring(L, -1), limit_message(LIMIT_TIME));
    assert_non_null(strstr(limit.where, "stack traceback:"));
    limit_close(&limit, NULL);
}

static void the_first_reason_stays(void **state)
{
    (void)state;
    open_state(0);
    limit_break(&limit, LIMIT_TIME);
    limit_break(&limit, LIMIT_EXIT);
    assert_int_equal(limit_broken(&limit), LIMIT_TIME);
    limit_close(&limit, NULL);
}

static void a_state_that_was_left_by_exit_serves_again_once_mended(void **state)
{
    (void)state;
    lua_State *L = open_state(0);
    for (int i = 0; i < 3; i++) {
        run(L, "n = (n or 0) + 1 pcall(leave) pcall(leave) n = -100");
        assert_int_equal(limit_broken(&limit), LIMIT_EXIT);
        limit_mend(&limit);
        assert_int_equal(limit_broken(&limit), LIMIT_NONE);
    }
    assert_int_equal(run(L, "for i = 1, 100000 do local x = i end m = n"), LUA_OK);
    lua_getglobal(L, "m");
    assert_int_equal(lua_tointeger(L, -1), 3);
    limit_close(&limit, NULL);
}

static int in_a_long_loop(lua_State *L)
{
    for (int i = 0; i < 1000000; i++) {
        if (i == 10)
            limit_break(&limit, LIMIT_TIME);
        limit_check(L);
    }
    fail_msg("not interrupted");
    return 0;
}

static void loops_in_c_are_interrupted_where_they_ask(void **state)
{
    (void)state;
    lua_State *L = open_state(0);
    lua_register(L, "loop", in_a_long_loop);
    assert_int_not_equal(run(L, "loop()"), LUA_OK);
    assert_int_equal(limit_broken(&limit), LIMIT_TIME);
    limit_close(&limit, NULL);
}

static void a_buffer_lent_for_a_while_counts(void **state)
{
    (void)state;
    lua_State *L = open_state(1 << 20);
    struct buffer b = {0};
    assert_true(buffer_reserve(&b, 3 << 20)); /* was there before */
    b.len = 3 << 20;
    assert_int_equal(limit_of(L), &limit);
    limit_adopt(&limit, &b);
    assert_true(buffer_append(&b, "x", 1));
    assert_false(buffer_reserve(&b, 20 << 20));
    limit_disown(&limit, &b);
    assert_true(buffer_reserve(&b, 20 << 20));
    buffer_free(&b);
    assert_int_equal(run(L, "local s = ('x'):rep(100000)"), LUA_OK);
    limit_close(&limit, NULL);
    assert_int_equal(limit.used, 0);
}

static void each_limit_has_its_message(void **state)
{
    (void)state;
    assert_non_null(strstr(limit_message(LIMIT_TIME), "RequestTimeout"));
    assert_non_null(strstr(limit_message(LIMIT_MEMORY), "ScriptMemoryLimit"));
    assert_string_equal(limit_message(LIMIT_NONE), "");
}

/* -- Time -- */

static void without_a_watch_there_is_no_time_limit(void **state)
{
    (void)state;
    assert_int_equal(watch_time_left(), -1);
    assert_true(watch_create(WATCH_WORKER, 1));
    assert_int_equal(watch_time_left(), -1);
    watch_begin(0);
    assert_int_equal(watch_time_left(), -1);
    watch_end();
    watch_begin(100000);
    assert_in_range(watch_time_left(), 70000, 100000);
    watch_end();
    assert_int_equal(watch_time_left(), -1);
    watch_begin(1);
    poll(NULL, 0, 30);
    assert_int_equal(watch_time_left(), 0); /* never less */
    watch_end();
    watch_destroy();
}

static struct {
    atomic_int count, worker;
    char script[64]; /* of the first; written before `count` */
} told;

static void tell(const struct watch_report *report)
{
    if (atomic_load(&told.count) == 0)
        snprintf(told.script, sizeof told.script, "%.63s", report->name);
    atomic_store(&told.worker, report->id);
    atomic_fetch_add(&told.count, 1);
}

static atomic_bool over;
static int64_t watchdog; /* of keep_watch; set before it starts */

static void *keep_watch(void *arg)
{
    while (!atomic_load(&over)) {
        watch_check(watchdog, tell);
        poll(NULL, 0, 2);
    }
    return arg;
}

/* Runs `body` while another thread is the heartbeat. */
static void watched(int64_t stuck_after, void (*body)(void))
{
    pthread_t heartbeat;
    atomic_store(&over, false);
    atomic_store(&told.count, 0);
    watchdog = stuck_after;
    assert_true(watch_create(WATCH_WORKER, 7));
    assert_int_equal(pthread_create(&heartbeat, NULL, keep_watch, NULL), 0);
    body();
    atomic_store(&over, true);
    pthread_join(heartbeat, NULL);
    watch_destroy();
}

static void be_late(void)
{
    static const char *const texts[] = {
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "local co = coroutine.wrap(function() late_in_a_coroutine = 1 end) co() "
        "repeat until false",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        lua_State *L = open_state(0);
        watch_begin(20);
        assert_int_not_equal(run(L, texts[i]), LUA_OK);
        watch_end();
        assert_int_equal(limit_broken(&limit), LIMIT_TIME);
        limit_close(&limit, NULL);
    }
}

static void a_late_script_is_ended(void **state)
{
    (void)state;
    watched(0, be_late);
    assert_int_equal(atomic_load(&told.count), 0); /* it ended: nobody is stuck */
}

static void be_in_time(void)
{
    for (int i = 0; i < 20; i++) {
        lua_State *L = open_state(0);
        watch_begin(60000);
        assert_int_equal(run(L, "for i = 1, 200000 do local x = i end"), LUA_OK);
        watch_end();
        limit_close(&limit, NULL);
    }
}

static void scripts_in_time_are_left_alone(void **state)
{
    (void)state;
    watched(1, be_in_time);
    assert_int_equal(atomic_load(&told.count), 0);
}

/* What no limit can end. */
static int hang(lua_State *L)
{
    (void)L;
    for (int i = 0; i < 10000 && atomic_load(&told.count) == 0; i++)
        poll(NULL, 0, 3);
    poll(NULL, 0, 30);
    return 0;
}

static void be_stuck(void)
{
    lua_State *L = open_state(0);
    limit.name = "/srv/stuck.lua";
    lua_register(L, "hang", hang);
    assert_false(watch_was_stuck());
    watch_begin(10);
    run(L, "hang()");
    watch_end();
    assert_true(watch_was_stuck());
    limit_close(&limit, NULL);
}

static void a_stuck_thread_is_told_once_with_its_script(void **state)
{
    (void)state;
    watched(200, be_stuck);
    assert_int_equal(atomic_load(&told.count), 1);
    assert_int_equal(atomic_load(&told.worker), 7);
    assert_string_equal(told.script, "/srv/stuck.lua");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_lua_allocates_is_counted),
        cmocka_unit_test(memory_that_garbage_holds_is_no_reason_to_end),
        cmocka_unit_test(a_script_out_of_memory_ends_whatever_it_catches),
        cmocka_unit_test(a_limit_of_zero_is_none),
        cmocka_unit_test(a_broken_limit_cannot_be_caught),
        cmocka_unit_test(the_first_reason_stays),
        cmocka_unit_test(a_state_that_was_left_by_exit_serves_again_once_mended),
        cmocka_unit_test(loops_in_c_are_interrupted_where_they_ask),
        cmocka_unit_test(a_buffer_lent_for_a_while_counts),
        cmocka_unit_test(each_limit_has_its_message),
        cmocka_unit_test(without_a_watch_there_is_no_time_limit),
        cmocka_unit_test(a_late_script_is_ended),
        cmocka_unit_test(scripts_in_time_are_left_alone),
        cmocka_unit_test(a_stuck_thread_is_told_once_with_its_script),
    };
    limit_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
