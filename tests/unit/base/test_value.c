/* The value room: what goes in comes out, and bytes that were never ours do no harm. */
#include "base/value.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

/* Compares two values to the bit, tables by content: same(a, b). */
static const char same_source[] =
    "local function same(a, b)\n"
    "  if math.type(a) ~= math.type(b) or type(a) ~= type(b) then return false end\n"
    "  if math.type(a) == 'float' then\n"
    "    return string.pack('<d', a) == string.pack('<d', b) end\n"
    "  if type(a) ~= 'table' then return a == b end\n"
    "  for k, v in next, a do if not same(v, rawget(b, k)) then return false end end\n"
    "  for k in next, b do if rawget(a, k) == nil then return false end end\n"
    "  return true\n"
    "end\n"
    "return same\n";

static int set_up(void **state)
{
    lua_State *L = luaL_newstate();
    luaL_openlibs(L);
    assert_int_equal(luaL_dostring(L, same_source), LUA_OK);
    lua_setglobal(L, "same");
    *state = L;
    return 0;
}

static int tear_down(void **state)
{
    lua_close(*state);
    return 0;
}

/* Pushes what the Lua expression gives. */
static void push(lua_State *L, const char *expression)
{
    lua_pushfstring(L, "return %s", expression);
    if (luaL_loadstring(L, lua_tostring(L, -1)) != LUA_OK || lua_pcall(L, 0, 1, 0))
        fail_msg("%s: %s", expression, lua_tostring(L, -1));
    lua_remove(L, -2);
}

static void assert_survives(lua_State *L, const char *expression)
{
    struct buffer bytes = {0};
    int top = lua_gettop(L);
    lua_getglobal(L, "same");
    push(L, expression);
    const char *why = value_encode(L, -1, &bytes);
    if (why != NULL)
        fail_msg("%s: %s", expression, why);
    assert_int_equal(lua_gettop(L), top + 2);
    assert_true(value_push(L, bytes.data, bytes.len));
    assert_int_equal(lua_gettop(L), top + 3);
    lua_call(L, 2, 1);
    if (!lua_toboolean(L, -1))
        fail_msg("%s came back as another value", expression);
    lua_settop(L, top);
    buffer_free(&bytes);
}

static void assert_refused(lua_State *L, const char *expression, const char *reason)
{
    struct buffer bytes = {0};
    assert_true(buffer_puts(&bytes, "before"));
    int top = lua_gettop(L);
    push(L, expression);
    assert_string_equal(value_encode(L, -1, &bytes), reason);
    assert_int_equal(lua_gettop(L), top + 1);
    assert_int_equal(bytes.len, 6);
    assert_memory_equal(bytes.data, "before", 6);
    lua_settop(L, top);
    buffer_free(&bytes);
}

static void test_scalars_come_back(void **state)
{
    static const char *const values[] = {"true",
                                         "false",
                                         "0",
                                         "-1",
                                         "1",
                                         "63",
                                         "64",
                                         "-64",
                                         "-65",
                                         "127",
                                         "128",
                                         "math.maxinteger",
                                         "math.mininteger",
                                         "0.0",
                                         "-0.0",
                                         "1.0",
                                         "2^53",
                                         "0.1",
                                         "1/0",
                                         "-1/0",
                                         "0/0",
                                         "-(0/0)",
                                         "5e-324",
                                         "''",
                                         "'a'",
                                         "'\\0\\r\\n\\xff'",
                                         "string.rep('x', 127)",
                                         "string.rep('x', 128)",
                                         "string.rep('\\0', 100000)"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_survives(*state, values[i]);
}

static void test_tables_come_back(void **state)
{
    static const char *const values[] = {
        "{}",
        "{1, 2, 3}",
        "{1, nil, 3}",
        "{nil, nil, 3}",
        "{a = 1, b = {c = {}}}",
        "{[1.5] = 1, [-1] = 2, [0] = 3, [true] = 4, [false] = 5, [1/0] = 6}",
        "{[math.mininteger] = 'a', [math.maxinteger] = 'b', ['\\0'] = 'c', [''] = 'd'}",
        "{1, 2, 3, x = 1, [2.5] = 2, [5] = 5}",
        "{{1}, {2}, {{3}}}",
        "setmetatable({1, 2}, {__index = error, __pairs = error, __len = error})"};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_survives(*state, values[i]);
}

static void test_a_table_met_twice_is_copied_twice(void **state)
{
    assert_survives(*state, "(function() local t = {1} return {t, t, a = t} end)()");
}

static void test_deepest_table_comes_back(void **state)
{
    char nest[400] =
        "(function() local t = 1 for i = 1, 100 do t = {t} end return t end)()";
    assert_survives(*state, nest);
    assert_refused(
        *state, "(function() local t = 1 for i = 1, 101 do t = {t} end return t end)()",
        "a table that contains itself or is nested too deep");
}

static void test_what_cannot_be_kept_is_named(void **state)
{
    assert_refused(*state, "nil", "nil");
    assert_refused(*state, "print", "a function");
    assert_refused(*state, "{{{print}}}", "a function");
    assert_refused(*state, "{a = function() end}", "a function");
    assert_refused(*state, "{[print] = 1}", "a function");
    assert_refused(*state, "{coroutine.create(print)}", "a coroutine");
    assert_refused(*state, "{io.stdout}", "a userdata");
    assert_refused(*state, "{[{}] = 1}", "a table as a key");
    assert_refused(*state, "string.rep('x', 16 * 1024 * 1024)",
                   "a value of more than 16 MiB");
}

static void test_cycles_are_refused(void **state)
{
    static const char cycle[] = "a table that contains itself or is nested too deep";
    assert_refused(*state, "(function() local t = {} t.t = t return t end)()", cycle);
    assert_refused(*state, "(function() local t = {} t[1] = {{t}} return t end)()",
                   cycle);
}

/* Sixty tables that each hold the one before twice would be 2^60 copies. */
static void test_a_table_that_explodes_when_copied_is_refused(void **state)
{
    assert_refused(
        *state,
        "(function() local t = {} for i = 1, 60 do t = {t, t} end return t end)()",
        "a value of more than 16 MiB");
}

static void test_numbers_as_keys_are_not_changed_by_encoding(void **state)
{
    lua_State *L = *state;
    struct buffer bytes = {0};
    push(L, "{[10] = 'a', [1.5] = 'b', [-3] = 'c'}");
    assert_null(value_encode(L, -1, &bytes));
    lua_setglobal(L, "t");
    push(L, "t[10] == 'a' and t[1.5] == 'b' and t[-3] == 'c'");
    assert_true(lua_toboolean(L, -1));
    lua_pop(L, 1);
    buffer_free(&bytes);
}

static void assert_damaged(lua_State *L, const char *bytes, size_t len)
{
    /* A copy of just that length, so that a read beyond it is seen. */
    char *copy = malloc(len > 0 ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    int top = lua_gettop(L);
    assert_false(value_push(L, copy, len));
    assert_int_equal(lua_gettop(L), top);
    free(copy);
}

static void test_damaged_bytes_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } rows[] = {
        {"", 0},
        {"x", 1},
        {"I", 1},
        {"I\x80", 2},
        {"D1234567", 8},
        {"S", 1},
        {"S\x02z", 3},
        {"S\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01z", 12},
        {"I\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11},
        {"TT", 2},
        {"{", 1},
        {"{;", 2},
        {"{}", 2},
        {"{;T}", 4},
        {"{;T", 3},
        {"{;{;}T}", 7},
        {"{;D\0\0\0\0\0\0\xf8\x7fT}", 13}, /* NaN as a key */
        {"{T;", 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_damaged(*state, rows[i].bytes, rows[i].len);
}

static void test_bytes_nested_too_deep_are_refused(void **state)
{
    char bytes[100000];
    memset(bytes, '{', sizeof bytes);
    assert_damaged(*state, bytes, sizeof bytes);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static int push_protected(lua_State *L)
{
    const struct buffer *bytes = lua_touserdata(L, 1);
    lua_pushboolean(L, value_push(L, bytes->data, bytes->len));
    return 1;
}

/* One to four changes at random places of good bytes; the sanitizers are the judges. What
 * still decodes must encode again. */
static void test_mutated_bytes_do_no_harm(void **state)
{
    lua_State *L = *state;
    struct buffer good = {0};
    push(L,
         "{1, 'two', 3.5, {a = {true, {}}, [false] = 'x'}, ['k\\0'] = -7, [2.5] = {}}");
    assert_null(value_encode(L, -1, &good));
    uint32_t seed = 20260131;
    int decoded = 0;
    for (int round = 0; round < 20000; round++) {
        struct buffer bad = {.len = good.len - next_random(&seed) % 3, .cap = good.len};
        bad.data = malloc(good.len);
        assert_non_null(bad.data);
        memcpy(bad.data, good.data, good.len);
        for (uint32_t n = next_random(&seed) % 4 + 1; n > 0; n--)
            bad.data[next_random(&seed) % good.len] = (char)next_random(&seed);
        char *exact = realloc(bad.data, bad.len);
        assert_non_null(exact);
        bad.data = exact;
        int top = lua_gettop(L);
        lua_pushcfunction(L, push_protected);
        lua_pushlightuserdata(L, &bad);
        assert_int_equal(lua_pcall(L, 1, 1, 0), LUA_OK);
        if (lua_toboolean(L, -1))
            decoded++;
        lua_settop(L, top);
        buffer_free(&bad);
    }
    assert_true(decoded > 0); /* a change within a string or a number */
    assert_true(decoded < 20000);
    buffer_free(&good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scalars_come_back),
        cmocka_unit_test(test_tables_come_back),
        cmocka_unit_test(test_a_table_met_twice_is_copied_twice),
        cmocka_unit_test(test_deepest_table_comes_back),
        cmocka_unit_test(test_what_cannot_be_kept_is_named),
        cmocka_unit_test(test_cycles_are_refused),
        cmocka_unit_test(test_a_table_that_explodes_when_copied_is_refused),
        cmocka_unit_test(test_numbers_as_keys_are_not_changed_by_encoding),
        cmocka_unit_test(test_damaged_bytes_are_refused),
        cmocka_unit_test(test_bytes_nested_too_deep_are_refused),
        cmocka_unit_test(test_mutated_bytes_do_no_harm),
    };
    return cmocka_run_group_tests_name("value", tests, set_up, tear_down);
}
