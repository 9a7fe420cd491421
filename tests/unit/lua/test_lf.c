/* The helper library, called as scripts call it. */
#include "lua/lf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

/* Runs the text in a state where is(a, b) compares, and both(v) takes a value through
 * lf.serialize and back. */
static void check(const char *text)
{
    struct script *s = script(
        "function is(a, b) if a ~= b or math.type(a) ~= math.type(b) then "
        "error(('%q is not %q'):format(tostring(a), tostring(b)), 2) end end\n"
        "function back(v) return assert(load('return ' .. lf.serialize(v)))() end\n"
        "function same(a, b) if type(a) ~= 'table' then return is(a, b) end "
        "for k, v in pairs(a) do same(v, b[k]) end "
        "for k in pairs(b) do is(a[k] == nil, false) end end\n");
    run(s, text);
    script_close(s);
}

static void all_but_letters_and_digits_are_encoded(void **state)
{
    (void)state;
    check("is(lf.urlencode('azAZ09'), 'azAZ09')"
          "is(lf.urlencode('a b'), 'a+b')"
          "is(lf.urlencode('+&=%'), '%2B%26%3D%25')"
          "is(lf.urlencode('-_.~'), '%2D%5F%2E%7E')"
          "is(lf.urlencode('\\0\\n\\xff'), '%00%0A%FF')"
          "is(lf.urlencode('\xc3\xa9'), '%C3%A9')"
          "is(lf.urlencode(''), '') is(lf.urlencode(12), '12')");
}

static void what_is_encoded_decodes_to_what_it_was(void **state)
{
    (void)state;
    check("for i = 0, 255 do is(lf.urldecode(lf.urlencode(string.char(i))), "
          "string.char(i)) "
          "end "
          "local t = {} for i = 0, 9999 do t[#t + 1] = string.char(i * 7 % 256) end "
          "local s = table.concat(t) is(lf.urldecode(lf.urlencode(s)), s)");
}

static void a_percent_sign_without_two_digits_stands_for_itself(void **state)
{
    (void)state;
    check("is(lf.urldecode('%41%5a%5A'), 'AZZ')"
          "is(lf.urldecode('a+b'), 'a b') is(lf.urldecode('a%2Bb'), 'a+b')"
          "is(lf.urldecode('%'), '%') is(lf.urldecode('%4'), '%4')"
          "is(lf.urldecode('%zz%4g%g4'), '%zz%4g%g4') is(lf.urldecode('%%41'), '%A')"
          "is(lf.urldecode('100%'), '100%') is(lf.urldecode('%\\0001'), '%\\0001')"
          "is(lf.urldecode('%00'), '\\0') is(lf.urldecode('%25%34%31'), '%41')");
}

static void a_pair_is_split_at_the_first_equals_sign(void **state)
{
    (void)state;
    check("local function pair(s, n, v) local a, b = lf.parse_pair(s) is(a, n) is(b, v) "
          "end "
          "pair('a=b', 'a', 'b') pair('a=b=c', 'a', 'b=c') pair('a', 'a', '') "
          "pair('a=', 'a', '') pair('=b', '', 'b') pair('', '', '') "
          "pair('a%3Db=c%26d', 'a=b', 'c&d') pair('a+b=c+d', 'a b', 'c d') "
          "is(select('#', lf.parse_pair(nil)), 2) pair(nil, nil, nil)");
}

static void a_form_is_parsed_into_a_table(void **state)
{
    (void)state;
    check("same(lf.parse('a=1&b=two+words'), {a = '1', b = 'two words'})"
          "same(lf.parse('a'), {a = ''}) same(lf.parse('=x'), {[''] = 'x'})"
          "same(lf.parse('&&a=1&&&b=2&'), {a = '1', b = '2'})"
          "same(lf.parse('a=1;b=2'), {a = '1;b=2'})"
          "same(lf.parse(''), {}) same(lf.parse('&'), {}) same(lf.parse(nil), {})"
          "same(lf.parse('%61=%62'), {a = 'b'})");
}

static void a_repeated_name_gives_a_list_in_order(void **state)
{
    (void)state;
    check("same(lf.parse('a=1&a=2'), {a = {'1', '2'}})"
          "same(lf.parse('a=1&b=x&a=2&a=3&a'), {a = {'1', '2', '3', ''}, b = 'x'})"
          "same(lf.parse('%61=1&a=2'), {a = {'1', '2'}})");
}

static void scalars_come_back_with_their_type(void **state)
{
    (void)state;
    check("for _, v in ipairs {true, false, 0, 1, -1, math.maxinteger, math.mininteger, "
          "0.0, "
          "1.5, -2.0, 1e300, 5e-324, 2.0 ^ 53, 0.1, 1 / 3, 1 / 0, -1 / 0, '', 'text', "
          "'1'} do "
          "is(back(v), v) end "
          "is(1 / back(-0.0), -1 / 0) "
          "local nan = back(0 / 0) assert(nan ~= nan) "
          "is(lf.serialize(nil), 'nil') is(lf.serialize(), 'nil') is(lf.serialize(7), "
          "'7')");
}

static void strings_of_any_bytes_come_back(void **state)
{
    (void)state;
    check("local t = {} for i = 0, 255 do t[#t + 1] = string.char(i) .. '7' end "
          "local s = table.concat(t) is(back(s), s) "
          "is(back('\\r\\n\"\\\\'), '\\r\\n\"\\\\') "
          "is(lf.serialize('a\"b'), [[\"a\\\"b\"]]) "
          "assert(not lf.serialize('two\\nlines'):find('[\\n\\r]'))");
}

static void tables_come_back(void **state)
{
    (void)state;
    check("local t = {1, 'two', {3, {4}}, [10] = 10, [-1] = 'minus', [1.5] = 'half', "
          "[true] = false, ['a b'] = {}, ['end'] = 'word', [''] = ''} "
          "same(back(t), t) same(back({}), {}) "
          "local shared = {1} local u = back({shared, shared}) same(u, {{1}, {1}})");
}

static void what_cannot_be_written_is_an_error(void **state)
{
    (void)state;
    check(
        "local function refused(v, what) local ok, why = pcall(lf.serialize, v) "
        "assert(not ok and why:find(what, 1, true), why) end "
        "refused(print, 'function') refused({{print}}, 'function') "
        "refused(coroutine.create(print), 'thread') refused(io.stdout, 'userdata') "
        "refused({[{}] = 1}, 'key') refused({[print] = 1}, 'function') "
        "local t = {} t.t = t refused(t, 'contains itself') "
        "local deep = {} for i = 1, 10000 do deep = {deep} end refused(deep, 'nested')");
}

/* Made to grow: under the memory limit it ends, and soon. */
static void what_is_built_counts_against_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 4 << 20;
    struct script *s =
        script("local s = ('x'):rep(10000) t = {} for i = 1, 1000 do t[i] = s "
               "end");
    assert_raises(s, "lf.serialize(t)", "memory limit exceeded");
    script_close(s);
}

static void a_form_of_very_many_fields_is_refused(void **state)
{
    (void)state;
    config->max_form_fields = 10;
    struct script *s = script("");
    run(s, "lf.parse(('a=1&'):rep(10))");
    assert_raises(s, "lf.parse(('a=1&'):rep(11))", "400: ");
    run(s, "assert(not pcall(lf.parse, ('a=1&'):rep(11)))"); /* the script may catch it */
    config->max_form_fields = 0;
    run(s, "assert(#lf.parse(('a=1&'):rep(5000)).a == 5000)");
    script_close(s);
}

static void arguments_of_other_types_are_errors(void **state)
{
    (void)state;
    check("for _, name in ipairs {'urlencode', 'urldecode', 'parse_pair', 'parse'} do "
          "for _, v in ipairs {true, {}, print} do assert(not pcall(lf[name], v), name) "
          "end "
          "end is(lf.urldecode(5), '5') is(lf.urlencode(nil), nil) is(lf.urldecode(nil), "
          "nil)");
}

static void the_buffer_of_an_error_half_way_is_freed(void **state)
{
    (void)state;
    struct script *s = script("t = {} for i = 1, 1000 do t[i] = ('x'):rep(100) end "
                              "t[1001] = print");
    for (int i = 0; i < 50; i++)
        run(s, "assert(not pcall(lf.serialize, t))");
    script_close(s); /* a sanitizer tells */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_but_letters_and_digits_are_encoded),
        TEST(what_is_encoded_decodes_to_what_it_was),
        TEST(a_percent_sign_without_two_digits_stands_for_itself),
        TEST(a_pair_is_split_at_the_first_equals_sign),
        TEST(a_form_is_parsed_into_a_table),
        TEST(a_repeated_name_gives_a_list_in_order),
        TEST(scalars_come_back_with_their_type),
        TEST(strings_of_any_bytes_come_back),
        TEST(tables_come_back),
        TEST(what_cannot_be_written_is_an_error),
        TEST(what_is_built_counts_against_the_memory_limit),
        TEST(a_form_of_very_many_fields_is_refused),
        TEST(arguments_of_other_types_are_errors),
        TEST(the_buffer_of_an_error_half_way_is_freed),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
