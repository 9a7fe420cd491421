/* Messages of a load: mistakes, warnings, and values in words. */
#include "config/report.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <lauxlib.h>
#include <lualib.h>

static lua_State *L;

static int open_state(void **state)
{
    (void)state;
    L = luaL_newstate();
    assert_non_null(L);
    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, false);
    lua_settop(L, 0);
    return 0;
}

static int close_state(void **state)
{
    (void)state;
    lua_close(L);
    return 0;
}

static void a_mistake_is_a_line_that_names_the_file(void **state)
{
    (void)state;
    char *text;
    size_t len;
    struct loader l = {.file = "/etc/config.lua", .errors = open_memstream(&text, &len)};
    assert_non_null(l.errors);
    report_complain(&l, "%s expects %d", "Threads", 4);
    report_complain(&l, "100%%");
    fclose(l.errors);
    assert_string_equal(text, "/etc/config.lua: Threads expects 4\n"
                              "/etc/config.lua: 100%\n");
    assert_int_equal(l.mistakes, 2);
    assert_int_equal(l.warnings.len, 0);
    free(text);
}

static void a_warning_waits_for_the_log_and_is_no_mistake(void **state)
{
    (void)state;
    struct loader l = {.file = "a%s.lua"};
    report_warn(&l, "%s is old", "Workers");
    report_warn(&l, "so is %d%%", 5);
    assert_true(buffer_append(&l.warnings, "", 1));
    assert_string_equal(l.warnings.data, "a%s.lua: Workers is old\n"
                                         "a%s.lua: so is 5%\n");
    assert_int_equal(l.mistakes, 0);
    buffer_free(&l.warnings);
}

static void *no_memory(void *data, void *block, size_t old_size, size_t size)
{
    (void)data;
    (void)block;
    (void)old_size;
    (void)size;
    return NULL;
}

static void a_warning_that_finds_no_memory_is_lost(void **state)
{
    (void)state;
    static const struct buffer_memory none = {no_memory, NULL};
    struct loader l = {.file = "a.lua", .warnings = {.memory = &none}};
    report_warn(&l, "never seen");
    assert_int_equal(l.warnings.len, 0);
    assert_int_equal(l.mistakes, 0);
}

/* The value of the expression is described so, in a text of `size` bytes. */
static void assert_described_in(size_t size, const char *expression, const char *words)
{
    char source[256], *text = malloc(size); /* a sanitizer sees its end */
    assert_non_null(text);
    snprintf(source, sizeof source, "return %s", expression);
    assert_int_equal(luaL_dostring(L, source), LUA_OK);
    assert_string_equal(report_describe(L, -1, text, size), words);
    lua_pop(L, 1);
    free(text);
}

static void assert_described(const char *expression, const char *words)
{
    assert_described_in(128, expression, words);
}

static void numbers_are_as_they_are_written(void **state)
{
    (void)state;
    assert_described("42", "42");
    assert_described("-9223372036854775807 - 1", "-9223372036854775808");
    assert_described("1.5", "1.5");
    assert_described("1e300", "1e+300");
    assert_described("1/0", "inf");
    assert_described("-1/0", "-inf");
    assert_described("0/0", "nan");
    assert_described("-(0/0)", "nan");
}

static void what_is_no_number_and_no_string_is_named(void **state)
{
    (void)state;
    char text[64];
    assert_described("true", "true");
    assert_described("false", "false");
    assert_described("nil", "a nil");
    assert_described("{}", "a table");
    assert_described("function() end", "a function");
    lua_newuserdata(L, 1);
    lua_pushlightuserdata(L, L);
    lua_newthread(L);
    assert_string_equal(report_describe(L, -3, text, sizeof text), "a userdata");
    assert_string_equal(report_describe(L, -2, text, sizeof text), "a userdata");
    assert_string_equal(report_describe(L, -1, text, sizeof text), "a coroutine");
    lua_settop(L, 0);
}

/* A message stays one line, and drives no terminal. */
static void strings_are_quoted_and_control_characters_escaped(void **state)
{
    (void)state;
    assert_described("''", "\"\"");
    assert_described("'42'", "\"42\"");
    assert_described("'a\\nb\\rc'", "\"a\\nb\\rc\"");
    assert_described("'\\27[1m\\0\\127'", "\"\\x1b[1m\\x00\\x7f\"");
    assert_described("'Gr\xc3\xbc\xc3\x9f'", "\"Gr\xc3\xbc\xc3\x9f\"");
}

#define SIXTY "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

/* Between characters, not within one. */
static void a_long_string_is_cut(void **state)
{
    (void)state;
    assert_described("('a'):rep(60)", "\"" SIXTY "\"");
    assert_described("('a'):rep(61)", "\"" SIXTY "...\"");
    assert_described("('a'):rep(100000)", "\"" SIXTY "...\"");
    assert_described("('a'):rep(59) .. '\xe2\x82\xac' .. 'b'",
                     "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
                     "\xe2\x82\xac...\"");
}

static void a_string_never_takes_more_than_the_room(void **state)
{
    (void)state;
    assert_described_in(16, "('a'):rep(100)", "\"aaaaaa...\"");
    assert_described_in(16, "('\\1'):rep(100)", "\"\\x01\\x01...\"");
    assert_described_in(16, "('\xbf'):rep(100)", "\"\xbf\xbf\xbf\xbf\xbf\xbf...\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mistake_is_a_line_that_names_the_file),
        cmocka_unit_test(a_warning_waits_for_the_log_and_is_no_mistake),
        cmocka_unit_test(a_warning_that_finds_no_memory_is_lost),
        cmocka_unit_test(numbers_are_as_they_are_written),
        cmocka_unit_test(what_is_no_number_and_no_string_is_named),
        cmocka_unit_test(strings_are_quoted_and_control_characters_escaped),
        cmocka_unit_test(a_long_string_is_cut),
        cmocka_unit_test(a_string_never_takes_more_than_the_room),
    };
    return cmocka_run_group_tests(tests, open_state, close_state);
}
