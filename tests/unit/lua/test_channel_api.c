/* Publish and Subscribe: their arguments, what subscriptions return, and their end. */
#include "lua/channel_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/channel.h"
#include "tests/unit/waking_fixture.h"

static size_t subscribers(const char *channel)
{
    size_t count;
    struct bytes name = {channel, strlen(channel)}, text = {"x", 1};
    assert_int_equal(channel_publish(name, text, 0, &count), CHANNEL_DONE);
    return count;
}

/* -- The functions -- */

static void a_subscription_gives_message_and_channel(void **state)
{
    (void)state;
    assert_answers("local s = Subscribe('a', 'b') local n = Publish('b', 'one') "
                   "n = n + Publish('c', 'none') + con:publish('a', 2) "
                   "local m1, c1 = s:next() local m2, c2 = s:next(0) "
                   "return n .. m1 .. c1 .. m2 .. c2 .. math.type(s:missed())",
                   "2oneb2ainteger");
    assert_answers("local s = con:subscribe('a') local m, why = s:next(0.01) "
                   "return tostring(m) .. why",
                   "niltimeout");
    assert_answers("local s = Subscribe('') Publish('', 'a\\0b') return #s:next()", "3");
    assert_answers("return Publish('nobody', 'x')", "0");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    assert_fails("Publish()", "bad argument #1 to 'Publish' (string expected");
    assert_fails("Publish('a')", "bad argument #2 to 'Publish' (string expected");
    assert_fails("con:publish('a', {})", "bad argument #2 to 'publish' (string expected");
    assert_fails("Publish(('x'):rep(1001), 'x')", "bad argument #1 to 'Publish'");
    assert_fails("Subscribe()", "bad argument #1 to 'Subscribe' (a channel's name");
    assert_fails("con:subscribe('a', {})", "bad argument #2 to 'subscribe'");
    assert_fails("Subscribe('a'):next('x')", "bad argument #1 to 'next'");
    assert_fails("Subscribe('a').next(io.stdout)", "bad argument #1 to 'next'");
    assert_fails("local t = {} for i = 1, 1001 do t[i] = 'x' .. i end "
                 "Subscribe(table.unpack(t))",
                 "at most 1000 channels");
    config->subscription_max_size = 10;
    assert_fails("Subscribe('a') Publish('a', '01234567890')",
                 "a message of 11 bytes is larger than SubscriptionMaxSize");
}

static void a_slow_script_misses_the_oldest(void **state)
{
    (void)state;
    config->subscription_max_size = 1010;
    assert_answers("local s = Subscribe('a') for i = 1, 25 do Publish('a', i % 10) end "
                   "return s:missed() .. ' ' .. s:next() .. ' ' .. s:missed()",
                   "15 6 15");
}

static void load_may_publish_but_not_subscribe(void **state)
{
    (void)state;
    struct script *s = script("n = Publish('a', 'x') ok, why = pcall(Subscribe, 'a') "
                              "function main() return n .. why end");
    assert_non_null(strstr(ask(s), "0no request is being served"));
    script_close(s);
}

/* -- The end -- */

static void close_ends_it(void **state)
{
    (void)state;
    assert_answers("local s = Subscribe('a') s:close() s:close() "
                   "return Publish('a', 'x') .. select(2, pcall(s.next, s)) .. "
                   "tostring(pcall(s.missed, s))",
                   "0this subscription is closed, or belongs to a request that is over"
                   "false");
}

static void so_does_the_collector(void **state)
{
    (void)state;
    assert_answers("Subscribe('a') collectgarbage() return Publish('a', 'x')", "0");
}

static void it_ends_with_its_request(void **state)
{
    (void)state;
    struct script *s = script(
        "function main() if kept then return select(2, pcall(kept.next, kept)) end "
        "kept = Subscribe('a') kept:next(0) return Publish('a', 'x') end");
    assert_string_equal(ask(s), "1");
    assert_int_equal(subscribers("a"), 0);
    assert_string_equal(
        ask(s), "this subscription is closed, or belongs to a request that is over");
    run(s, "kept = nil collectgarbage()");
    script_close(s);
}

static void it_ends_with_a_request_that_fails(void **state)
{
    (void)state;
    static const char *const ends[] = {
        "error('x')",
        "os.exit()",
        "coroutine.wrap(error)('x')",
        "local t = {} while true do t[#t + 1] = ('x'):rep(10000) .. #t end",
    };
    config->script_memory_limit = 4 << 20;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char text[256];
        snprintf(text, sizeof text, "function main() kept = Subscribe('a', 'b') %s end",
                 ends[i]);
        struct script *s = script(text);
        ask(s);
        assert_int_equal(subscribers("a") + subscribers("b"), 0);
        script_close(s);
    }
}

static void a_script_cannot_keep_it_from_ending(void **state)
{
    (void)state;
    struct script *s = script(
        "function main() local s = Subscribe('a') "
        "local mt = debug.getmetatable(s) if type(mt) == 'table' then mt.__gc = nil end "
        "s = nil collectgarbage() return 'done' end");
    assert_string_equal(ask(s), "done");
    assert_int_equal(subscribers("a"), 0);
    script_close(s);
}

static void its_memory_counts_and_is_given_back(void **state)
{
    (void)state;
    config->script_memory_limit = 2 << 20;
    assert_fails("for i = 1, 100000 do local s = Subscribe('a', 'b', 'c') s.next(s, 0) "
                 "kept = {s, kept} end",
                 "memory limit exceeded");
    /* Lua collects what has a finalizer late, so there is more room. */
    config->script_memory_limit = 16 << 20;
    assert_answers("for i = 1, 200000 do Subscribe('a', 'b'):close() end return 'done'",
                   "done");
    assert_int_equal(subscribers("a"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAKER_TEST(a_subscription_gives_message_and_channel),
        WAKER_TEST(a_wrong_argument_is_named),
        WAKER_TEST(a_slow_script_misses_the_oldest),
        WAKER_TEST(load_may_publish_but_not_subscribe),
        WAKER_TEST(close_ends_it),
        WAKER_TEST(so_does_the_collector),
        WAKER_TEST(it_ends_with_its_request),
        WAKER_TEST(it_ends_with_a_request_that_fails),
        WAKER_TEST(a_script_cannot_keep_it_from_ending),
        WAKER_TEST(its_memory_counts_and_is_given_back),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
