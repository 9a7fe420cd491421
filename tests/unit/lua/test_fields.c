/* Names and values of a URL as tables, called from C: the stack, the counts, the limit.
 * test_url_api.c has what scripts see of it. */
#include "lua/fields.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

static struct bytes input; /* of the functions below */

static int parse(lua_State *L)
{
    fields_parse(L, input.data, input.len);
    assert_int_equal(lua_gettop(L), 1);
    lua_setglobal(L, "t");
    return 0;
}

static int pair(lua_State *L)
{
    fields_push_pair(L, input.data, input.len);
    assert_int_equal(lua_gettop(L), 2);
    lua_setglobal(L, "v");
    lua_setglobal(L, "n");
    return 0;
}

/* `body` takes the text, then the Lua text finds what it has made. */
static void after(int (*body)(lua_State *), struct bytes text, const char *code)
{
    struct script *s = script("function is(a, b) if a ~= b then error(('%q is not %q')"
                              ":format(tostring(a), tostring(b)), 2) end end");
    struct script_error error = {0};
    input = text;
    if (state_run(s, body, false, &error) != STATE_DONE)
        fail_msg("%d: %s", error.status, error.message);
    run(s, code);
    script_close(s);
}

#define TEXT(literal) ((struct bytes){literal, sizeof literal - 1})

static void a_repeated_name_makes_a_list_in_order(void **state)
{
    (void)state;
    after(
        parse, TEXT("a=1&b=x&a=2&a=3&b"),
        "is(table.concat(t.a, ','), '1,2,3') is(#t.b, 2) is(t.b[1], 'x') is(t.b[2], '')");
}

static void empty_parts_are_left_out(void **state)
{
    (void)state;
    after(parse, TEXT("&&a=1&"), "is(t.a, '1') t.a = nil is(next(t), nil)");
    after(parse, TEXT(""), "is(next(t), nil)");
    after(parse, TEXT("="), "is(t[''], '')");
}

static void zero_bytes_are_characters(void **state)
{
    (void)state;
    after(parse, TEXT("a\0b=c\0d&e=%00"), "is(t['a\\0b'], 'c\\0d') is(t.e, '\\0')");
}

static void only_the_length_counts(void **state)
{
    (void)state;
    after(parse, (struct bytes){"a=%4142", 5}, "is(t.a, 'A')");
    after(parse, (struct bytes){"a=%4142", 4}, "is(t.a, '%4')");
    after(pair, (struct bytes){"ab=c", 2}, "is(n, 'ab') is(v, '')");
}

static void a_pair_leaves_two_values(void **state)
{
    (void)state;
    after(pair, TEXT("a+b=c%3Dd=e"), "is(n, 'a b') is(v, 'c=d=e')");
    after(pair, TEXT(""), "is(n, '') is(v, '')");
}

static void long_texts_are_decoded_whole(void **state)
{
    (void)state;
    static char text[3 * 50000 + 2];
    memcpy(text, "a=", 2);
    for (size_t i = 0; i < 50000; i++)
        memcpy(text + 2 + 3 * i, "%42", 3);
    after(parse, (struct bytes){text, sizeof text}, "is(t.a, ('B'):rep(50000))");
}

static void more_fields_than_allowed_are_refused(void **state)
{
    (void)state;
    config->max_form_fields = 3;
    after(parse, TEXT("a&b&&&c"), "is(t.c, '')");
    struct script *s = script("");
    struct script_error error = {0};
    input = TEXT("a&b&c&d");
    assert_int_equal(state_run(s, parse, false, &error), STATE_FAILED);
    assert_int_equal(error.status, 400);
    assert_non_null(strstr(error.message, "MaxFormFields"));
    state_error_clear(&error);
    script_close(s);
    config->max_form_fields = 0;
    after(parse, TEXT("a&b&c&d"), "is(t.d, '')");
}

static void memory_counts_for_the_script(void **state)
{
    (void)state;
    static char text[2000000];
    memset(text, 'a', sizeof text);
    struct script *s = script("");
    struct script_error error = {0};
    config->script_memory_limit = 1000000;
    struct script *small = script("");
    input = (struct bytes){text, sizeof text};
    assert_int_equal(state_run(s, parse, false, &error), STATE_DONE);
    assert_int_equal(state_run(small, parse, false, &error), STATE_FAILED);
    assert_non_null(strstr(error.message, "memory limit"));
    state_error_clear(&error);
    script_close(small);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_repeated_name_makes_a_list_in_order),
        TEST(empty_parts_are_left_out),
        TEST(zero_bytes_are_characters),
        TEST(only_the_length_counts),
        TEST(a_pair_leaves_two_values),
        TEST(long_texts_are_decoded_whole),
        TEST(more_fields_than_allowed_are_refused),
        TEST(memory_counts_for_the_script),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
