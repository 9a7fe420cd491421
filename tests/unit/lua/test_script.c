/* Scripts: compiling a file, making a state of it, running it, and whether it is
 * current. */
#include "lua/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/source.h"
#include "tests/unit/script_fixture.h"

/* Compiling the file, or making a state of it, fails with this status and a message that
 * contains `part`. */
static void assert_fails(const char *path, int status, const char *part)
{
    struct script_error error = {0};
    assert_null(load(path, &error));
    assert_int_equal(error.status, status);
    if (error.message == NULL || strstr(error.message, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", error.message, part);
    state_error_clear(&error);
    assert_null(error.message);
}

static void assert_text_fails(const char *text, int status, const char *part)
{
    assert_fails(write_file("script.lua", text), status, part);
}

static void a_file_that_cannot_be_had_is_404_or_403(void **state)
{
    (void)state;
    assert_fails(path_of("none.lua"), 404, "No such file");
    assert_fails(path_of("none/none.lua"), 404, "No such file");
    assert_fails(directory, 404, "directory");
    write_file("file", "");
    assert_fails(path_of("file/x.lua"), 404, "ot a directory");
    const char *path = write_file("script.lua", "");
    free(config->script_root);
    config->script_root = strdup("/usr");
    assert_fails(path, 403, "denied");
    config->script_root[0] = '\0';
    if (geteuid() != 0) { /* root may read everything */
        chmod(path, 0);
        assert_fails(path, 403, "denied");
    }
}

static void a_syntax_error_is_500_with_file_and_line(void **state)
{
    (void)state;
    assert_text_fails("local a\nlocal b = = 1", 500, "script.lua:2: ");
    assert_text_fails("\033Lua\123", 500, "binary chunk"); /* bytecode is not run */
    assert_text_fails("x = 'unfinished", 500, "script.lua:1: ");
}

/* The code keeps its error and its version: the file is compiled again only when it has
 * changed. */
static void code_that_does_not_compile_is_remembered(void **state)
{
    (void)state;
    struct script_error error = {0};
    const char *path = write_file("script.lua", "x =");
    struct script_code *code = script_compile(path, config, &error);
    assert_non_null(code);
    assert_non_null(script_code_error(code));
    assert_int_equal(script_code_error(code)->status, 500);
    assert_true(script_code_is_current(code));
    assert_null(script_create(code, "", config, 1, &error));
    assert_int_equal(error.status, 500);
    state_error_clear(&error);
    write_file("script.lua", "x = 1 -- mended");
    source_sweep(true);
    assert_false(script_code_is_current(code));
    script_code_unref(code);
    script_code_unref(NULL);
}

static void errors_at_load_have_a_traceback_whatever_was_raised(void **state)
{
    (void)state;
    assert_text_fails("\nerror('my words')", 500,
                      "script.lua:2: my words\nstack traceback:");
    assert_text_fails("error()", 500, "nil\nstack traceback:");
    assert_text_fails("error({})", 500, "(error object is a table value)");
    assert_text_fails(
        "error(setmetatable({}, {__tostring = function() return 'text' end}))", 500,
        "text\nstack traceback:");
    assert_text_fails("error(setmetatable({}, {__tostring = function() error() end}))",
                      500, "(error object is a table value)");
    assert_text_fails("error(false)", 500, "false");
}

static void leaving_by_exit_at_load_is_an_error(void **state)
{
    (void)state;
    assert_text_fails("os.exit(0)", 500, "os.exit");
}

static void limits_hold_at_load(void **state)
{
    (void)state;
    config->script_memory_limit = 2 << 20;
    assert_text_fails("local s = ('x'):rep(1 << 28)", 500, "memory limit exceeded");
}

static void a_bom_and_a_first_line_for_the_shell_are_skipped(void **state)
{
    (void)state;
    static const char *const texts[] = {"#!/usr/bin/lua\nx = 1",
                                        "\xef\xbb\xbfx = 1",
                                        "\xef\xbb\xbf#!lua\nx = 1",
                                        "#",
                                        "",
                                        "# only"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct script *s = script(texts[i]);
        if (i < 3)
            run(s, "assert(x == 1)");
        script_close(s);
    }
    assert_text_fails("#!lua\n\nerror('here')", 500,
                      "script.lua:3: here"); /* lines count */
}

static void a_state_knows_where_it_is_from(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_string_equal(state_path(s), path_of("script.lua"));
    assert_string_equal(state_dir(s), directory);
    assert_string_equal(state_root(s), directory);
    assert_ptr_equal(state_config(s), config);
    assert_int_equal(state_id(s), 1);
    int node;
    state_set_owner(s, &node);
    assert_ptr_equal(state_owner(s), &node);
    script_close(s);
}

static void globals_last_from_run_to_run_and_are_a_states_own(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script_code *code =
        script_compile(write_file("script.lua", "n = 0"), config, &error);
    assert_non_null(code);
    struct script *a = script_create(code, "", config, 1, &error);
    struct script *b = script_create(script_code_ref(code), "", config, 2, &error);
    assert_true(a != NULL && b != NULL);
    script_code_unref(code);
    script_code_unref(code);
    for (int i = 0; i < 3; i++)
        run(a, "n = n + 1");
    run(a, "assert(n == 3)");
    run(b, "assert(n == 0)");
    assert_int_equal(state_requests(a), 4);
    assert_int_equal(state_requests(b), 1);
    script_close(a);
    script_close(b);
}

static void an_error_leaves_the_state_usable(void **state)
{
    (void)state;
    struct script *s = script("n = 1");
    assert_raises(s, "n = 2 error('my words')", "500: ");
    assert_raises(s, "error(nil)", "nil");
    assert_true(state_is_usable(s));
    run(s, "assert(n == 2)");
    run(s, "n = 3 os.exit(1) n = 4"); /* not a fault */
    assert_true(state_is_usable(s));
    run(s, "assert(n == 3)");
    script_collect(s);
    script_close(s);
}

static void a_state_out_of_memory_is_not_usable_any_more(void **state)
{
    (void)state;
    config->script_memory_limit = 2 << 20;
    struct script *s = script("");
    assert_true(state_is_usable(s));
    assert_raises(s, "pcall(string.rep, 'x', 1 << 28) x = 1", "memory limit exceeded");
    assert_false(state_is_usable(s));
    script_close(s);
}

static void finalizers_that_never_end_do_not_hold_up_the_close(void **state)
{
    (void)state;
    struct script *s = script("for i = 1, 2 do setmetatable({}, {__gc = function() "
                              "while true do end end}) end "
                              "setmetatable({}, {__gc = function() local t = {} "
                              "while true do t = {t} end end})");
    script_close(s);
}

static void an_edit_is_seen_after_the_next_sweep(void **state)
{
    (void)state;
    struct script *s = script("x = 1");
    assert_true(state_is_current(s));
    source_sweep(true);
    assert_true(state_is_current(s));
    write_file("script.lua", "x = 2 -- longer");
    assert_true(state_is_current(s)); /* nobody has looked */
    source_sweep(true);
    assert_false(state_is_current(s));
    assert_false(state_is_current(s));
    script_close(s);
    s = script("x = 3");
    assert_true(state_is_current(s));
    script_close(s);
}

static void an_edit_of_whatever_went_into_the_state_is_seen(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "require 'part'", "dofile('part.lua')", "loadfile('part.lua')",
        "package.loaded.part = nil require 'part' require 'part'"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_file("part.lua", "return 1");
        struct script *s = script(texts[i]);
        assert_true(state_is_current(s));
        write_file("part.lua", "return 'something else'");
        source_sweep(true);
        assert_false(state_is_current(s));
        script_close(s);
    }
}

/* Files that a request loaded later count, too. */
static void files_loaded_in_a_request_count_too(void **state)
{
    (void)state;
    write_file("part.lua", "return 1");
    struct script *s = script("");
    assert_true(state_is_current(s));
    run(s, "require 'part'");
    assert_true(state_is_current(s));
    write_file("part.lua", "return 'something else'");
    source_sweep(true);
    assert_false(state_is_current(s));
    script_close(s);
}

static void a_state_is_not_current_under_another_configuration(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_true(state_is_current(s));
    config_publish(config_ref(config));
    assert_false(state_is_current(s));
    config_publish(NULL);
    script_close(s);
}

static void the_startup_script_runs_first(void **state)
{
    (void)state;
    free(config->startup_script);
    config->startup_script = strdup(write_file("first.lua", "order = {'first'}"));
    struct script *s = script("order[2] = 'script'");
    run(s, "assert(#order == 2 and order[1] == 'first')");
    write_file("first.lua", "order = {'edited'}");
    source_sweep(true);
    assert_false(state_is_current(s));
    script_close(s);
    write_file("first.lua", "\n\nerror('in first')");
    assert_text_fails("", 500, "first.lua:3: in first");
    write_file("first.lua", "x = = 1");
    assert_text_fails("", 500, "first.lua:1: ");
    unlink(path_of("first.lua"));
    assert_text_fails("", 500, "StartupScript");
}

static void no_state_keeps_a_source_for_good(void **state)
{
    (void)state;
    size_t before = source_count();
    write_file("part.lua", "return 1");
    struct script *s = script("require 'part'");
    assert_true(source_count() >= before + 2);
    script_close(s);
    source_sweep(true);
    assert_int_equal(source_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_cannot_be_had_is_404_or_403),
        TEST(a_syntax_error_is_500_with_file_and_line),
        TEST(code_that_does_not_compile_is_remembered),
        TEST(errors_at_load_have_a_traceback_whatever_was_raised),
        TEST(leaving_by_exit_at_load_is_an_error),
        TEST(limits_hold_at_load),
        TEST(a_bom_and_a_first_line_for_the_shell_are_skipped),
        TEST(a_state_knows_where_it_is_from),
        TEST(globals_last_from_run_to_run_and_are_a_states_own),
        TEST(an_error_leaves_the_state_usable),
        TEST(a_state_out_of_memory_is_not_usable_any_more),
        TEST(finalizers_that_never_end_do_not_hold_up_the_close),
        TEST(an_edit_is_seen_after_the_next_sweep),
        TEST(an_edit_of_whatever_went_into_the_state_is_seen),
        TEST(files_loaded_in_a_request_count_too),
        TEST(a_state_is_not_current_under_another_configuration),
        TEST(the_startup_script_runs_first),
        TEST(no_state_keeps_a_source_for_good),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
