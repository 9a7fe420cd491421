/* The request that a state serves at present. */
#include "lua/call.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static struct call first, second;
static unsigned serial;

static int see_none(lua_State *L)
{
    assert_int_equal(call_serial(L), 0);
    call_of(L);
    return 0;
}

static int see_first(lua_State *L)
{
    assert_ptr_equal(call_of(L), &first);
    serial = call_serial(L);
    assert_int_not_equal(serial, 0);
    return 0;
}

static int see_second(lua_State *L)
{
    assert_ptr_equal(call_of(L), &second);
    assert_int_not_equal(call_serial(L), 0);
    assert_int_not_equal(call_serial(L), serial);
    return 0;
}

static void a_state_knows_the_request_it_serves(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = script("");
    call_begin(s, &first);
    assert_int_equal(state_run(s, see_first, false, &error), STATE_DONE);
    call_end(s);
    call_begin(s, &second);
    assert_int_equal(state_run(s, see_second, false, &error), STATE_DONE);
    call_end(s);
    script_close(s);
}

static void between_requests_there_is_none(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = script("");
    assert_int_equal(state_run(s, see_none, false, &error), STATE_FAILED);
    assert_non_null(strstr(error.message, "no request is being served"));
    state_error_clear(&error);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_state_knows_the_request_it_serves),
        TEST(between_requests_there_is_none),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
