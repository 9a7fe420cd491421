/* lf.json and lf.json_encode with libraries that stand in for lua-cjson and lua-dkjson:
 * which is taken, how it is called, what becomes of its errors. */
#include "lua/json_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/form_fixture.h"

#define JSON "application/json"

/* Neither is found, whatever is installed here. */
#define NEITHER                                                                          \
    "package.path, package.cpath = '', '' "                                              \
    "package.loaded.cjson, package.loaded.dkjson = nil, nil "

#define CJSON                                                                            \
    "package.loaded.cjson = {decode = function(s) if s == 'bad' then error('why', 0) "   \
    "end if s == 'false' then return false end return 'c:' .. s end, "                   \
    "encode = function(v) return 'C:' .. tostring(v) end} "

/* Its decode returns value, next position, and error; its encode calls `exception`. */
#define DKJSON                                                                           \
    "package.loaded.dkjson = {decode = function(s, at, null) "                           \
    "if s == 'bad' then return nil, 1, 'why' end "                                       \
    "local word = s:match('^%a+') "                                                      \
    "return word == 'null' and null or 'd:' .. word, at + #word end, "                   \
    "encode = function(v, how) if type(v) == 'userdata' or type(v) == 'function' then "  \
    "local s, why = how.exception('custom', v, how, 'unwritable') "                      \
    "return s or error(why, 0) end return 'D:' .. tostring(v) end} "

static void without_a_library_the_error_names_the_packages(void **state)
{
    (void)state;
    assert_refused(NEITHER "lf.json()", JSON, "{}", "500", "lua-dkjson");
    assert_refused(NEITHER "lf.json_encode(1)", JSON, "{}", "500", "lua-cjson");
    assert_answer(NEITHER "pcall(lf.json) return Receive()", JSON, "{}", "{}");
}

static void cjson_is_preferred(void **state)
{
    (void)state;
    assert_answer(NEITHER DKJSON CJSON "return lf.json() .. lf.json_encode(2)", JSON, "x",
                  "c:xC:2");
    assert_answer(NEITHER DKJSON "return lf.json() .. lf.json_encode(2)", JSON, "x",
                  "d:xD:2");
}

static void the_body_is_decoded_once(void **state)
{
    (void)state;
    assert_answer(NEITHER CJSON "assert(lf.json() == false) "
                                "package.loaded.cjson.decode = nil "
                                "return tostring(lf.json())",
                  JSON, "false", "false");
}

static void what_is_no_json_is_the_clients_mistake(void **state)
{
    (void)state;
    assert_refused(NEITHER CJSON "lf.json()", JSON, "bad", "400", "why");
    assert_refused(NEITHER DKJSON "lf.json()", JSON, "bad", "400", "why");
    assert_refused(NEITHER DKJSON "lf.json()", JSON, "a b", "400", "follows the value");
    assert_answer(NEITHER DKJSON "return lf.json()", JSON, "a \t\r\n", "d:a");
}

static void null_is_the_same_in_both(void **state)
{
    (void)state;
    assert_answer(NEITHER DKJSON "return tostring(lf.json() == lf.null) .. "
                                 "lf.json_encode(lf.null)",
                  JSON, "null", "truenull");
    assert_refused(NEITHER DKJSON "lf.json_encode(print)", JSON, "x", "500",
                   "unwritable");
    assert_answer(CJSON "return tostring(lf.null)", JSON, "x", "userdata: (nil)");
}

static void a_value_has_to_be_given(void **state)
{
    (void)state;
    assert_refused(NEITHER CJSON "lf.json_encode()", JSON, "x", "500", "value expected");
    assert_answer(NEITHER CJSON "return lf.json_encode(nil)", JSON, "x", "C:nil");
}

static void a_body_that_was_read_is_an_error(void **state)
{
    (void)state;
    assert_refused(NEITHER CJSON "Receive(1) lf.json()", JSON, "xy", "500",
                   "read already");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_library_the_error_names_the_packages),
        TEST(cjson_is_preferred),
        TEST(the_body_is_decoded_once),
        TEST(what_is_no_json_is_the_clients_mistake),
        TEST(null_is_the_same_in_both),
        TEST(a_value_has_to_be_given),
        TEST(a_body_that_was_read_is_an_error),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
