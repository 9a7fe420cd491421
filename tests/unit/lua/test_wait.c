/* Waiting: a thread that waits itself, a script that yields, and their ends. */
#include "lua/wait.h"

#include "base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

/* -- What runs the request -- */

static enum call_fate fate;
static bool room; /* for one more that waits */
static int counted;
static struct waker *own_waker;

static enum call_fate get_fate(void *owner)
{
    (void)owner;
    return fate;
}

static bool may_wait(void *owner)
{
    (void)owner;
    counted += room;
    return room;
}

static struct waker *get_waker(void *owner)
{
    (void)owner;
    return own_waker;
}

static void finish(void *owner)
{
    (void)owner;
    request_finish(request);
}

static const struct call_operations operations = {get_fate, may_wait, get_waker, finish};

static struct call call;

static int set_up_wait(void **state)
{
    set_up(state);
    fate = CALL_GOES_ON;
    room = true;
    counted = 0;
    own_waker = waker_create();
    call = (struct call){
        .request = request, .worker = 3, .sessions = sessions, .operations = &operations};
    return own_waker == NULL;
}

static int tear_down_wait(void **state)
{
    waker_unref(own_waker);
    return tear_down(state);
}

/* -- A function that waits -- */

static struct awaited what;

static int waited(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    lua_pushinteger(L, (lua_Integer)wait_came(L));
    lua_pushinteger(L, (lua_Integer)context);
    return 2;
}

static int await(lua_State *L)
{
    return wait_for(L, &what, 7, waited);
}

static int may_yield(lua_State *L)
{
    lua_pushboolean(L, wait_may_yield(L));
    return 1;
}

static int moment(lua_State *L)
{
    lua_pushnumber(L, ((lua_Number)(wait_until(L, 1) - clock_nanoseconds())) / 1e9);
    return 1;
}

static int add_functions(lua_State *L)
{
    lua_register(L, "await", await);
    lua_register(L, "may_yield", may_yield);
    lua_register(L, "moment", moment);
    return 0;
}

static struct script *waiting_page(const char *body)
{
    struct script *s = page(body);
    struct script_error error = {0};
    assert_int_equal(state_run(s, add_functions, false, &error), STATE_DONE);
    begin_request((const char *const[]){"A=1", ""});
    return s;
}

static void assert_body(const char *body)
{
    const struct buffer *sent = request_buffer(request);
    assert_int_equal(sent->len, strlen(body));
    assert_memory_equal(sent->data, body, sent->len);
}

static void assert_serves(struct script *s, const char *body)
{
    struct script_error error = {0};
    if (!api_serve(s, &call, &error))
        fail_msg("%d: %s", error.status, error.message);
    assert_body(body);
}

static int64_t from_now(int milliseconds)
{
    return clock_nanoseconds() + milliseconds * INT64_C(1000000);
}

/* -- Tests -- */

static void without_a_request_the_thread_waits(void **state)
{
    (void)state;
    struct script *s = script("");
    run(s, "Sleep(0.03)");
    int64_t begun = clock_nanoseconds();
    run(s, "Sleep(0.03) Sleep(-1) Sleep(0)");
    assert_true(clock_nanoseconds() - begun >= 30000000);
    script_close(s);
}

static void where_lua_cannot_yield_the_thread_waits(void **state)
{
    (void)state;
    struct script *s = waiting_page("local t = {2, 1} table.sort(t, function(a, b)"
                                    " Send(tostring(may_yield()), ' ', await(), ' ')"
                                    " return a < b end)");
    what = (struct awaited){.until = from_now(5)};
    assert_serves(s, "false 0 ");
    assert_int_equal(counted, 0);
    script_close(s);
}

static void a_waker_ends_the_wait_of_a_thread(void **state)
{
    (void)state;
    struct script *s = waiting_page("('x'):gsub('x', function() Send(await()) end)");
    what = (struct awaited){.what = AWAITED_WAKER, .until = AWAITED_FOREVER};
    waker_wake(own_waker);
    assert_serves(s, "47");
    script_close(s);
}

static void a_descriptor_ends_the_wait_of_a_thread(void **state)
{
    (void)state;
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "x", 1), 1);
    struct script *s = waiting_page("('x'):gsub('x', function() Send(await()) end)");
    what = (struct awaited){
        .what = AWAITED_READ | AWAITED_WAKER, .fd = ends[0], .until = AWAITED_FOREVER};
    assert_serves(s, "17");
    close(ends[0]);
    close(ends[1]);
    script_close(s);
}

static void reading_and_writing_of_the_peer_wait_themselves(void **state)
{
    (void)state;
    struct script *s = waiting_page("('x'):gsub('x', function() Send(await()) end)");
    what = (struct awaited){.what = AWAITED_OUTPUT, .until = AWAITED_FOREVER};
    assert_serves(s, "167");
    script_close(s);
}

/* The error of a wait whose client has gone, or that a stop ends. */
static void assert_ends(const char *body, int status, const char *message)
{
    struct script_error error = {0};
    struct script *s = waiting_page(body);
    what = (struct awaited){.until = AWAITED_FOREVER};
    assert_false(api_serve(s, &call, &error));
    assert_int_equal(error.status, status);
    assert_string_equal(error.message, message);
    assert_int_equal(call.told, 1);
    assert_true(state_is_usable(s));
    state_error_clear(&error);
    script_close(s);
}

static void a_client_that_has_gone_ends_the_request(void **state)
{
    (void)state;
    fate = CALL_IS_GONE;
    assert_ends("await()", 499, "the client has gone");
    assert_ends("('x'):gsub('x', await)", 499, "the client has gone");
}

static void a_stop_ends_the_request(void **state)
{
    (void)state;
    fate = CALL_IS_STOPPED;
    assert_ends("await()", 503, "the daemon stops");
}

static void a_script_may_tidy_up_but_not_wait_again(void **state)
{
    (void)state;
    fate = CALL_IS_GONE;
    struct script_error error = {0};
    struct script *s = waiting_page("local ok, e = pcall(await) Send(tostring(ok), e)"
                                    " while true do pcall(await) end");
    assert_true(api_serve(s, &call, &error));
    assert_body("falsethe client has gone");
    assert_int_equal(call.told, 2);
    assert_true(state_is_usable(s));
    script_close(s);
}

static void moments_are_seconds_from_now(void **state)
{
    (void)state;
    struct script *s = waiting_page(
        "assert(moment(10) > 5 and moment(10) <= 10) assert(moment(-3) <= 0)"
        "assert(moment('0.5') <= 0.5 and moment('5') > 0.5)"
        "assert(moment() > 1e9 and moment(nil) > 1e9 and moment(math.huge) > 1e9)"
        "local ok, e = pcall(moment, 0/0) Send(e:match('%(.*'))"
        "ok, e = pcall(moment, 'x') Send(e:match('%(.*'))");
    assert_serves(s, "(a number of seconds expected)"
                     "(number expected, got string)");
    script_close(s);
}

#define WAIT_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_wait, tear_down_wait)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WAIT_TEST(without_a_request_the_thread_waits),
        WAIT_TEST(where_lua_cannot_yield_the_thread_waits),
        WAIT_TEST(a_waker_ends_the_wait_of_a_thread),
        WAIT_TEST(a_descriptor_ends_the_wait_of_a_thread),
        WAIT_TEST(reading_and_writing_of_the_peer_wait_themselves),
        WAIT_TEST(a_client_that_has_gone_ends_the_request),
        WAIT_TEST(a_stop_ends_the_request),
        WAIT_TEST(a_script_may_tidy_up_but_not_wait_again),
        WAIT_TEST(moments_are_seconds_from_now),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
