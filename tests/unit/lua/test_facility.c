/* Functions and methods come from rows. */
#include "lua/facility.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/con.h"
#include "tests/unit/page_fixture.h"

static void while_a_script_is_loaded_there_is_no_request(void **state)
{
    (void)state;
    struct script *s =
        script("ok, why = pcall(Send, 'x') function main() return why end");
    assert_non_null(strstr(serve(s, "A=1"), "no request is being served"));
    script_close(s);
}

static int count_arguments(lua_State *L, int first)
{
    lua_pushinteger(L, lua_gettop(L) - first + 1);
    return 1;
}

static const struct facility_row rows[] = {
    {"Both", "both", count_arguments},
    {"Alone", NULL, count_arguments},
    {NULL, "alone", count_arguments},
    {0},
};

static void open_value(lua_State *L, const struct config *from)
{
    (void)from;
    lua_pushliteral(L, "value");
    lua_setglobal(L, "AValue");
}

static const struct facility of_globals = {.rows = rows, .open = open_value};
static const struct facility of_tables = {
    .table = "Part", .con_table = "part", .rows = rows};
static const struct facility of_the_same_tables = {
    .table = "Part",
    .con_table = "part",
    .rows = (const struct facility_row[]){{"More", "more", count_arguments}, {0}}};

static int open_all(lua_State *L)
{
    facility_open(L, &of_globals, config);
    facility_open(L, &of_tables, config);
    facility_open(L, &of_the_same_tables, config);
    assert_int_equal(lua_gettop(L), 0);
    return 0;
}

static void assert_answer(const char *body, const char *expected)
{
    struct script_error error = {0};
    struct script *s = page(body);
    assert_true(state_run(s, open_all, false, &error) == STATE_DONE);
    assert_string_equal(serve(s, "A=1"), expected);
    script_close(s);
}

static void a_row_is_a_function_a_method_or_both(void **state)
{
    (void)state;
    assert_answer("return Both(1, 2, 3) .. con:both(1, 2) .. Alone() .. con:alone(1)",
                  "3201");
    assert_answer("return tostring(alone or con.Alone or both or con.Both)", "nil");
    assert_answer("return AValue", "value");
}

static void facilities_may_have_tables_and_share_them(void **state)
{
    (void)state;
    assert_answer("return Part.Both(1) .. con.part:both(1, 2) .. Part.More(1, 2, 3) .. "
                  "con.part:more()",
                  "1230");
    assert_answer("return select(2, pcall(con.part.both))",
                  "bad argument #1 to '?' (table expected, got no value)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(while_a_script_is_loaded_there_is_no_request),
        TEST(a_row_is_a_function_a_method_or_both),
        TEST(facilities_may_have_tables_and_share_them),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
