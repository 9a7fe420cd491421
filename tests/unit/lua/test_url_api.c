/* URL encoding and forms, called as scripts call them. */
#include "lua/url_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

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

static void con_parse_does_as_lf_parse(void **state)
{
    (void)state;
    assert_page("local t = con:parse('a=1&a=2&b=c+d') return t.a[2] .. t.b", "2c d");
    assert_page("return tostring(next(con:parse()))", "nil");
    assert_page_fails("con:parse({})", "bad argument #1 to 'parse'");
    assert_page_fails("con.parse({}, 'a=1')", "bad argument #1 to 'parse'");
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
        TEST(a_form_of_very_many_fields_is_refused),
        TEST(arguments_of_other_types_are_errors),
        TEST(con_parse_does_as_lf_parse),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
