/* Running the file: errors, and files that cannot be read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lua.h>

#include "tests/unit/config_fixture.h"

static void test_lua_errors_name_file_and_line(void **state)
{
    (void)state;
    char expected[256];
    static const struct {
        const char *text, *rest;
    } rows[] = {
        {"\n\nWorkerThreads =\n", ":4: unexpected symbol near <eof>\n"},
        {"\nerror('no')\n", ":2: no\n"},
        {"error('no', 0)", ": no\n"},
        {"#!/usr/bin/lua\nx =", ":2: unexpected symbol near <eof>\n"},
        {"\xef\xbb\xbfx =", ":1: unexpected symbol near <eof>\n"},
        {"\xef\xbb\xbf# first\nx =", ":2: unexpected symbol near <eof>\n"},
        {"os.exit()",
         ":1: os.exit would end the daemon, and is not for a configuration\n"},
        {"pcall(os.exit) setmetatable({}, { __gc = print })",
         ":1: a finalizer (__gc) is not for a configuration\n"},
        {"getmetatable(io.stdout).__gc = print", ":1: attempt to index a string value\n"},
        {"local t = {} for i = 1, 1e9 do t[i] = ('x'):rep(1e6) .. i end",
         ": needs more than 64 MiB of memory\n"},
        {"coroutine.yield()", ": attempt to yield from outside a coroutine\n"},
        {"error()", ": the file raised an error without a message (nil)\n"},
        {"error({})", ": the file raised an error without a message (table)\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_null(load(rows[i].text));
        snprintf(expected, sizeof expected, "%s%s", file, rows[i].rest);
        assert_string_equal(errors, expected);
    }
}

static void test_a_long_file_name_is_given_whole(void **state)
{
    (void)state;
    char name[256], expected[320];
    snprintf(name, sizeof name, "%s/%080d.lua", directory, 0);
    write_file("x =");
    assert_int_equal(rename(file, name), 0);
    assert_null(load_file(name));
    assert_int_equal(unlink(name), 0);
    snprintf(expected, sizeof expected, "%s:1: unexpected symbol near <eof>\n", name);
    assert_string_equal(errors, expected);
}

static void test_unreadable_files_are_reported(void **state)
{
    (void)state;
    assert_null(load_file("/nonexistent/config.lua"));
    assert_string_equal(
        errors, "/nonexistent/config.lua: cannot be read: No such file or directory\n");
    assert_null(load_file(directory));
    assert_non_null(strstr(errors, "Is a directory\n"));
}

static void test_bytecode_is_refused(void **state)
{
    (void)state;
    assert_null(load("\x1bLua"));
    assert_non_null(strstr(errors, "attempt to load a binary chunk"));
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_lua_errors_name_file_and_line),
        TEST(test_a_long_file_name_is_given_whole),
        TEST(test_unreadable_files_are_reported),
        TEST(test_bytecode_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
