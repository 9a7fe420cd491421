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

static void fill_values(lua_State *L)
{
    lua_pushliteral(L, "one");
    lua_rawseti(L, -2, 1);
}

static const struct facility of_globals = {.rows = rows, .open = open_value};
static const struct facility of_tables = {
    .table = "Part", .con_table = "part", .rows = rows};
static const struct facility of_the_same_tables = {
    .table = "Part",
    .con_table = "part",
    .rows = (const struct facility_row[]){{"More", "more", count_arguments}, {0}},
    .fill = fill_values};

static const struct facility *const facilities[] = {&of_globals, &of_tables,
                                                    &of_the_same_tables, NULL};

static int open_all(lua_State *L)
{
    facility_open(L, facilities, config);
    assert_int_equal(lua_gettop(L), 0);
    return 0;
}

/* Answers by what is the body of main, after `before` ran. */
static void assert_answer_after(const char *before, const char *body,
                                const char *expected)
{
    struct script_error error = {0};
    struct script *s = page(body);
    assert_true(state_run(s, open_all, false, &error) == STATE_DONE);
    run(s, before);
    assert_string_equal(serve(s, "A=1"), expected);
    assert_string_equal(serve(s, "A=1"), expected);
    script_close(s);
}

static void assert_answer(const char *body, const char *expected)
{
    assert_answer_after("", body, expected);
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

/* The facilities of the daemon had filled con before these came. */
static void what_was_there_before_stays(void **state)
{
    (void)state;
    assert_answer("con:puts('sent ') con.session:hasrealm('x') Send(con:both(1)) "
                  "Send(lf.hex and 'y')",
                  "sent 1y");
}

static void a_table_has_what_is_looked_for(void **state)
{
    (void)state;
    assert_answer("return tostring(Part.Both == Part.Both and Part[1] == 'one')", "true");
    assert_answer("return tostring(Part.none or Part[2] or Part['Both\\0'] or Part[1.5])",
                  "nil");
    assert_answer("local t = setmetatable({}, {__index = Part}) return t.Both(1, 2)",
                  "2");
}

static const char *const list = "function list(t) local names = {} for k in pairs(t) do "
                                "names[#names + 1] = tostring(k) end table.sort(names) "
                                "return table.concat(names, ' ') end";

static void pairs_visits_all_of_a_table(void **state)
{
    (void)state;
    assert_answer_after(list, "return list(Part)", "1 Alone Both More");
    assert_answer_after(list, "local f = Part.More return list(Part)",
                        "1 Alone Both More");
    assert_answer_after(list, "return list(con.part)", "alone both more");
}

static void what_a_script_sets_or_removes_stays_so(void **state)
{
    (void)state;
    assert_answer_after("function Part.Both() return 'own' end Part.New = 'new' "
                        "Part[1] = 'other'",
                        "return Part.Both() .. Part.New .. Part[1] .. Part.More(1)",
                        "ownnewother1");
    assert_answer_after("Part.Both = nil  local f = Part.More  Part.More = nil "
                        "Part[1] = nil",
                        "return tostring(Part.Both or Part.More or Part[1])", "nil");
    const char *removed = "Part.Both = nil  local f = Part.More  Part.More = nil "
                          "Part[1] = nil function list(t) local n = 0 for k in pairs(t) "
                          "do n = n + 1 end return n end";
    assert_answer_after(removed, "return list(Part)", "1");
    assert_answer_after("rawset(Part, 'Both', print)",
                        "return tostring(Part.Both == print)", "true");
}

static void a_script_may_give_a_table_a_metatable(void **state)
{
    (void)state;
    assert_answer("return tostring(getmetatable(Part))", "nil");
    assert_answer_after(
        "setmetatable(Part, {__index = function(_, k) return k .. '!' end})",
        "return Part.Both(1) .. Part.none .. rawlen(Part)", "1none!1");
    assert_answer_after("assert(setmetatable(Part, nil) == Part)",
                        "return Part.Both(1) .. rawlen(Part)", "11");
    assert_answer_after("debug.setmetatable(Part, {})",
                        "return Part.Both(1) .. rawlen(Part)", "11");
}

/* A hook sees the functions of the metatable, and a script can call them as it likes. */
static void functions_of_the_metatable_stand_any_call(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = page("return Part.Both(1, 2)");
    assert_true(state_run(s, open_all, false, &error) == STATE_DONE);
    run(s, "local found, main = {}, coroutine.running() "
           "debug.sethook(function() for level = 0, 2 do "
           "local info = debug.getinfo(main, level, 'f') "
           "if info then found[info.func] = true end end end, 'c') "
           "local _ = Part.x; Part.y = 1; for _ in pairs(Part) do end "
           "Part.z = 2 setmetatable(Part, nil) debug.sethook() "
           "local values, calls = {false, 1, 'x', {}, print, io.stdout, Part}, 0 "
           "for f in pairs(found) do if f ~= debug.sethook and "
           "debug.getinfo(f, 'S').what == 'C' then calls = calls + 1 pcall(f) "
           "for _, v in ipairs(values) do for _, w in ipairs(values) do "
           "pcall(f, v) pcall(f, v, w) pcall(f, v, w, v) end end end end "
           "assert(calls >= 4, calls)");
    assert_string_equal(serve(s, "A=1"), "2");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(while_a_script_is_loaded_there_is_no_request),
        TEST(a_row_is_a_function_a_method_or_both),
        TEST(facilities_may_have_tables_and_share_them),
        TEST(what_was_there_before_stays),
        TEST(a_table_has_what_is_looked_for),
        TEST(pairs_visits_all_of_a_table),
        TEST(what_a_script_sets_or_removes_stays_so),
        TEST(a_script_may_give_a_table_a_metatable),
        TEST(functions_of_the_metatable_stand_any_call),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
