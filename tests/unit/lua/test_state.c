/* One Lua state in use: its errors, its sources, its numbers. */
#include "lua/state.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lua/source.h"
#include "tests/unit/page_fixture.h"

static void the_latest_error_is_kept(void **state)
{
    (void)state;
    struct script_error error = {0};
    state_set_error(&error, 404, "first");
    state_set_error(&error, 500, "second");
    assert_int_equal(error.status, 500);
    assert_string_equal(error.message, "second");
    state_error_clear(&error);
    assert_int_equal(error.status, 0);
    assert_null(error.message);
    state_error_clear(&error);
}

static void any_value_may_be_raised(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_raises(s, "error(nil)", "500: nil\nstack traceback:");
    assert_raises(s, "error({})", "500: (error object is a table value)");
    assert_raises(s, "error(true, 0)", "500: true");
    assert_raises(s,
                  "error(setmetatable({}, {__tostring = function() return 'own' end}))",
                  "500: own");
    assert_raises(s, "error(setmetatable({}, {__tostring = error}))",
                  "500: (error object is a table value)");
    assert_true(state_is_usable(s));
    script_close(s);
}

static void a_long_message_is_cut(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = page("error(('x'):rep(100000), 0)");
    begin_request((const char *const[]){"A=1", ""});
    assert_null(answer(s, &error));
    assert_int_equal(strspn(error.message, "x"), 16 * 1024);
    assert_non_null(strstr(error.message, "x ...\nstack traceback:"));
    state_error_clear(&error);
    script_close(s);
}

static int push_paths(lua_State *L)
{
    char expected[96];
    snprintf(expected, sizeof expected, "%s/a.lua", directory);
    assert_string_equal(state_push_path(L, "a.lua"), expected);
    assert_string_equal(state_push_path(L, "/a.lua"), "/a.lua");
    assert_int_equal(lua_gettop(L), 2);
    return 0;
}

static void a_relative_name_is_beside_the_script(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = script("");
    assert_int_equal(state_run(s, push_paths, false, &error), STATE_DONE);
    assert_string_equal(state_dir(s), directory);
    assert_string_equal(state_root(s), directory);
    assert_int_equal(state_id(s), 1);
    script_close(s);
}

static int note_many(lua_State *L)
{
    size_t before = source_count();
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "absent%d.lua", i);
        state_note_absent(L, name);
    }
    assert_int_equal(lua_gettop(L), 0);
    assert_in_range(source_count() - before, 100, 256);
    return 0;
}

static void of_very_many_missing_files_the_first_are_noted(void **state)
{
    (void)state;
    struct script_error error = {0};
    struct script *s = script("");
    assert_int_equal(state_run(s, note_many, false, &error), STATE_DONE);
    write_file("absent999.lua", "");
    source_sweep(true);
    assert_true(state_is_current(s));
    write_file("absent0.lua", "");
    source_sweep(true);
    assert_false(state_is_current(s));
    script_close(s);
    assert_int_equal(source_count(), 0);
}

static void requests_and_failures_are_counted(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_int_equal(state_requests(s), 0);
    run(s, "");
    run(s, "");
    assert_int_equal(state_requests(s), 2);
    state_note_outcome(s, true);
    state_note_outcome(s, true);
    assert_int_equal(state_failures(s), 2);
    state_note_outcome(s, false);
    assert_int_equal(state_failures(s), 0);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_latest_error_is_kept),
        TEST(any_value_may_be_raised),
        TEST(a_long_message_is_cut),
        TEST(a_relative_name_is_beside_the_script),
        TEST(of_very_many_missing_files_the_first_are_noted),
        TEST(requests_and_failures_are_counted),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
