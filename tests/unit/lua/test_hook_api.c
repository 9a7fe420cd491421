/* What hooks can call: the same as scripts, with locks that end with the hook. */
#include "lua/hook_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/buffer.h"
#include "store/channel.h"
#include "store/claim.h"
#include "store/shared.h"
#include "tests/unit/config_fixture.h"

static struct config *c;
static struct config_hooks *hooks;
static struct buffer error;

#define PRELUDE                                                                          \
    "function is(a, b) if a ~= b or math.type(a) ~= math.type(b) then "                  \
    "error(tostring(a) .. ' is not ' .. tostring(b), 2) end end "

static void begin(const char *text)
{
    char whole[4096];
    snprintf(whole, sizeof whole, PRELUDE "%s", text);
    write_file(whole);
    shared_clear();
    c = config_load_hooks(file, stderr, &hook_api, &hooks);
    assert_non_null(c);
    assert_non_null(hooks);
    assert_true(config_hooks_open(hooks, c, &error));
    assert_int_equal(truncate(log_file, 0), 0);
}

static void end(void)
{
    config_hooks_free(hooks);
    config_unref(c);
    buffer_free(&error);
    shared_clear();
}

static void assert_runs(enum config_hook hook)
{
    error.len = 0;
    bool good = config_hooks_call(hooks, hook, "why", 5000, &error);
    if (!good)
        fprintf(stderr, "%.*s\n", (int)error.len, error.data);
    assert_true(good);
}

static void assert_fails(enum config_hook hook, int64_t timeout, const char *part)
{
    error.len = 0;
    assert_false(config_hooks_call(hooks, hook, "why", timeout, &error));
    assert_true(buffer_append(&error, "", 1));
    assert_non_null(strstr(error.data, part));
}

static void log_and_print_write_lines(void **state)
{
    (void)state;
    begin("function OnStart() Log('warning', 'a', 1, nil) Log('b') print('c', true) "
          "print() end");
    assert_runs(CONFIG_ON_START);
    read_log();
    assert_non_null(strstr(logged, "warning: a1nil\n"));
    assert_non_null(strstr(logged, "info: b\n"));
    assert_non_null(strstr(logged, "info: c\\ttrue\n"));
    end();
}

/* Each would take years, in C. What the file keeps in a variable is no other function. */
static void what_takes_long_in_the_library_is_ended(void **state)
{
    (void)state;
    static const char *const calls[] = {
        "s:find(p)",
        "s:match(p)",
        "s:gsub(p, '')",
        "s:gmatch(p)()",
        "for _ in string.gmatch(s, p) do end",
        "table.move({}, 1, 1 << 60, 2)",
        "coroutine.wrap(find)(s, p)",
        "find(s, p)",
    };
    for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
        char text[512];
        snprintf(
            text, sizeof text,
            "local s, p, find = ('a'):rep(100000), ('.-'):rep(20) .. 'b', string.find "
            "function OnStart() assert(('x'):rep(3) == 'xxx' and #(''):rep(1 << 60) "
            "== 0 and ('a1b2'):gsub('%%d', {['1'] = 'x'}) == 'axb2' and "
            "('key=v'):match('(%%w+)=') == 'key') %s end",
            calls[i]);
        begin(text);
        assert_fails(CONFIG_ON_START, 50, "took longer than 0.05 seconds");
        end();
    }
}

static void shared_values_are_those_of_scripts(void **state)
{
    (void)state;
    begin(
        "function OnStart() "
        "for _, v in ipairs {true, false, 1, 1.5, '', 'a\\0b', ('y'):rep(100000)} do "
        "is(Shared.set('k', v), true) is(Shared.get('k'), v) end "
        "is(Shared.delete('k'), true) is(Shared.get('k'), nil) "
        "is(Shared.add('k', 1), true) is(Shared.add('k', 2), false) "
        "is(Shared.incr('k'), 2) is(Shared.cas('k', 2, 'x'), true) "
        "for i = 1, 200 do Shared.set('user:' .. i, i) end "
        "is(#Shared.keys('user:'), 200) is(#Shared.keys(), 201) is(#Shared.keys('z'), 0) "
        "is(pcall(Shared.set, 'k', {}), false) is(pcall(Shared.get), false) end");
    assert_runs(CONFIG_ON_START);
    struct shared_value value = shared_get((struct bytes){"user:7", 6}, NULL, 0);
    assert_int_equal(value.type, SHARED_INTEGER);
    assert_int_equal(value.integer, 7);
    end();
}

static void a_message_reaches_who_has_subscribed(void **state)
{
    (void)state;
    struct bytes name = {"news", 4}, text, channel;
    struct waker *waker = waker_create();
    struct channel_subscription *s = malloc(channel_subscription_size(1));
    assert_non_null(s);
    assert_true(channel_subscribe(s, &name, 1, 1000, waker));
    begin(
        "SubscriptionMaxSize = 1000 "
        "function OnStart() is(Publish('news', 'hello'), 1) is(Publish('x', 'y'), 0) end "
        "function OnStop() Publish('news', ('x'):rep(1001)) end");
    assert_runs(CONFIG_ON_START);
    struct message *m = channel_next(s, &text, &channel);
    assert_non_null(m);
    assert_memory_equal(text.data, "hello", 5);
    channel_release(m);
    assert_fails(CONFIG_ON_STOP, 0, "larger than SubscriptionMaxSize");
    end();
    channel_unsubscribe(s);
    waker_unref(waker);
    free(s);
}

/* Whether nobody holds the lock. */
static bool is_free(const char *name)
{
    int64_t again;
    struct claim claim;
    struct waker *waker = waker_create();
    assert_int_equal(claim_begin(&claim, (struct bytes){name, strlen(name)}, 0, waker),
                     CLAIM_DONE);
    bool free = claim_holds(&claim, &again);
    claim_end(&claim);
    waker_unref(waker);
    return free;
}

static void a_lock_ends_with_its_hook(void **state)
{
    (void)state;
    begin("function OnStart() kept = Shared.lock('a') assert(kept) "
          "local l = Shared.lock('b') is(l:unlock(), true) is(l:unlock(), false) "
          "assert(Shared.lock('b')) collectgarbage() "
          "local ok, why = pcall(Shared.lock, 'a') is(ok, false) "
          "assert(why:find('this hook holds the lock \\'a\\' already', 1, true)) end "
          "function OnHeartbeat() is(kept:unlock(), false) assert(Shared.lock('a')) "
          "error('with a lock') end");
    assert_runs(CONFIG_ON_START);
    assert_true(is_free("a") && is_free("b"));
    assert_fails(CONFIG_ON_HEARTBEAT, 0, "with a lock");
    assert_true(is_free("a"));
    end();
}

static void a_lock_that_is_taken_is_waited_for(void **state)
{
    (void)state;
    struct claim claim;
    struct waker *waker = waker_create();
    begin("function OnStart() is(Shared.lock('a', 0, 0.02), nil) end "
          "function OnHeartbeat() Shared.lock('a') end "
          "function OnStop() assert(Shared.lock('a', 5, 60)) end");
    assert_int_equal(claim_begin(&claim, (struct bytes){"a", 1}, 0, waker), CLAIM_DONE);
    assert_runs(CONFIG_ON_START);
    assert_fails(CONFIG_ON_HEARTBEAT, 30, "no time is left to wait for the lock");
    claim_end(&claim);
    assert_runs(CONFIG_ON_STOP);
    assert_true(is_free("a"));
    end();
    waker_unref(waker);
}

static void what_the_file_has_defined_stays(void **state)
{
    (void)state;
    begin("function Log() return 'mine' end Shared = 5 "
          "setmetatable(_G, {__newindex = error, __index = error}) "
          "rawset(_G, 'OnStart', function() is(Log(), 'mine') is(Shared, 5) "
          "is(Publish('a', 'b'), 0) end)");
    assert_runs(CONFIG_ON_START);
    end();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(log_and_print_write_lines),
        TEST(what_takes_long_in_the_library_is_ended),
        TEST(shared_values_are_those_of_scripts),
        TEST(a_message_reaches_who_has_subscribed),
        TEST(a_lock_ends_with_its_hook),
        TEST(a_lock_that_is_taken_is_waited_for),
        TEST(what_the_file_has_defined_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
