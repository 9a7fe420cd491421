/* Shared: the arguments of its functions, what they return, and the end of locks. */
#include "lua/shared_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/claim.h"
#include "store/shared.h"
#include "tests/unit/waking_fixture.h"

static int set_up_shared(void **state)
{
    shared_clear();
    return set_up_waker(state);
}

static int tear_down_shared(void **state)
{
    shared_clear();
    return tear_down_waker(state);
}

#define SHARED_TEST(name)                                                                \
    cmocka_unit_test_setup_teardown(name, set_up_shared, tear_down_shared)

/* -- Values -- */

static void values_come_back_as_they_were(void **state)
{
    (void)state;
    check(
        "for _, v in ipairs {true, false, 1, 1.0, -1, 0.1, math.mininteger, math.huge, "
        "'', 'a\\0b', ('x'):rep(256), ('y'):rep(100000)} do "
        "is(Shared.set('k', v), true) is(Shared.get('k'), v) end "
        "is(Shared.get('none'), nil) is(Shared.set('k'), true) is(Shared.get('k'), nil) "
        "is(Shared.set(5, 6), true) is(Shared.get('5'), 6) "
        "local nan = 0/0 Shared.set('k', nan) assert(Shared.get('k') ~= nan)");
}

static void each_function_returns_what_it_says(void **state)
{
    (void)state;
    check("is(Shared.add('k', 1), true) is(Shared.add('k', 2), false) "
          "is(Shared.incr('k'), 2) is(Shared.incr('k', 5), 7) "
          "is(Shared.incr('k', 0.5), 7.5) is(Shared.incr('n', 1, 10), 11) "
          "is(Shared.incr('m', -1), -1) is(Shared.incr('s', '3'), 3) "
          "is(Shared.cas('k', 7, 8), false) is(Shared.cas('k', 7.5, 'x'), true) "
          "is(Shared.cas('k', 'x', nil), true) is(Shared.cas('k', nil, false), true) "
          "is(Shared.get('k'), false) "
          "is(Shared.delete('k'), true) is(Shared.delete('k'), false) "
          "Shared.set('user:1', 1) Shared.set('user:2', 1) "
          "local k = Shared.keys('user:') table.sort(k) "
          "same(k, {'user:1', 'user:2'}) is(#Shared.keys(), 5) is(#Shared.keys('x'), 0)");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    struct script *s = script("function main() end");
    assert_raises(s, "Shared.get()", "bad argument #1 to 'get' (string expected");
    assert_raises(s, "Shared.set('k', {})", "bad argument #2 to 'set' (a boolean, a");
    assert_raises(s, "Shared.set('k', 1, 'x')", "bad argument #3 to 'set' (number");
    assert_raises(s, "Shared.set('k', 1, -1)", "bad argument #3 to 'set' (a number of");
    assert_raises(s, "Shared.set('k', 1, 0/0)", "bad argument #3 to 'set' (a number of");
    assert_raises(s, "Shared.add('k')", "bad argument #2 to 'add' (a boolean, a");
    assert_raises(s, "Shared.incr('k', {})", "bad argument #2 to 'incr' (number");
    assert_raises(s, "Shared.cas('k', print)", "bad argument #2 to 'cas' (a boolean, a");
    assert_raises(s, "Shared.lock({})", "bad argument #1 to 'lock' (string expected");
    assert_raises(s, "Shared.lock('a')", "no request is being served");
    run(s, "Shared.set('k', 'text')");
    assert_raises(s, "Shared.incr('k')", "the value of 'k' is no number");
    script_close(s);
}

static void a_value_too_large_is_an_error(void **state)
{
    (void)state;
    config->shared_max_size = 1000;
    struct script *s = script("function main() end");
    assert_raises(s, "Shared.set('k', ('x'):rep(1000))",
                  "the value is larger than SharedMaxSize");
    run(s, "for i = 1, 100 do Shared.set(i, 'x') end assert(Shared.get(100) == 'x') "
           "assert(Shared.get(1) == nil and #Shared.keys() == 8)");
    script_close(s);
}

static void a_large_value_counts_for_the_script_that_reads_it(void **state)
{
    (void)state;
    struct script *s = script("function main() end");
    run(s, "Shared.set('k', ('x'):rep(3 << 20))");
    script_close(s);
    config->script_memory_limit = 2 << 20;
    s = script("function main() end");
    assert_raises(s, "Shared.get('k')", "memory limit exceeded");
    script_close(s);
}

/* -- Locks -- */

static bool is_free(const char *name)
{
    struct claim c;
    int64_t again;
    struct waker *waker = waker_create();
    struct bytes bytes = {name, strlen(name)};
    assert_int_equal(claim_begin(&c, bytes, 0, waker), CLAIM_DONE);
    bool holds = claim_holds(&c, &again);
    claim_end(&c);
    waker_unref(waker);
    return holds;
}

static void a_lock_is_held_until_it_is_unlocked(void **state)
{
    (void)state;
    assert_answers("local l = Shared.lock('a') local ok, why = pcall(Shared.lock, 'a') "
                   "assert(not ok) local first = l:unlock() "
                   "assert(Shared.lock('a'):unlock()) "
                   "return why .. tostring(first) .. tostring(l:unlock())",
                   "this request holds the lock 'a' alreadytruefalse");
}

static void a_lock_that_is_taken_is_waited_for_until_the_timeout(void **state)
{
    (void)state;
    struct claim c;
    struct waker *waker = waker_create();
    assert_int_equal(claim_begin(&c, (struct bytes){"a", 1}, 0, waker), CLAIM_DONE);
    assert_answers("return tostring(Shared.lock('a', nil, 0)) .. "
                   "tostring(Shared.lock('a', 5, 0.02)) .. type(Shared.lock('b', 5, 0))",
                   "nilniluserdata");
    assert_true(claim_end(&c));
    waker_unref(waker);
    assert_true(is_free("a"));
}

static void a_lock_ends_with_its_request(void **state)
{
    (void)state;
    struct script *s =
        script("function main() if kept then return tostring(kept:unlock()) end "
               "Shared.lock('b') kept = Shared.lock('a') collectgarbage() "
               "assert(not pcall(Shared.lock, 'b')) error('x') end");
    assert_non_null(strstr(ask(s), "error: "));
    assert_true(is_free("a"));
    assert_true(is_free("b"));
    assert_string_equal(ask(s), "false");
    script_close(s);
}

static void its_memory_counts(void **state)
{
    (void)state;
    config->script_memory_limit = 2 << 20;
    assert_fails("for i = 1, 100000 do Shared.lock('a' .. i) end",
                 "memory limit exceeded");
    assert_true(is_free("a1"));
    assert_answers(
        "for i = 1, 100000 do Shared.lock('a' .. i):unlock() end return 'done'", "done");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        SHARED_TEST(values_come_back_as_they_were),
        SHARED_TEST(each_function_returns_what_it_says),
        SHARED_TEST(a_wrong_argument_is_named),
        SHARED_TEST(a_value_too_large_is_an_error),
        SHARED_TEST(a_large_value_counts_for_the_script_that_reads_it),
        SHARED_TEST(a_lock_is_held_until_it_is_unlocked),
        SHARED_TEST(a_lock_that_is_taken_is_waited_for_until_the_timeout),
        SHARED_TEST(a_lock_ends_with_its_request),
        SHARED_TEST(its_memory_counts),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
