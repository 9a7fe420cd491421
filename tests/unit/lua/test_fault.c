/* Where an error happened, as its text says. */
#include "lua/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* The line that `text` names of `path`; 0: none. */
static int line_of(const char *text, const char *path)
{
    struct fault fault = {0};
    fault_look(&fault, text, path, path);
    assert_int_equal(fault.path != NULL, fault.line != 0);
    return fault.line;
}

static void a_message_begins_with_its_place(void **state)
{
    (void)state;
    assert_int_equal(line_of("/s/a.lua:12: attempt to", "/s/a.lua"), 12);
    assert_int_equal(line_of("/s/a.lua:12: attempt to", "/s/b.lua"), 0);
    assert_int_equal(line_of("/s/a.lua:12", "/s/a.lua"), 0);
    assert_int_equal(line_of("/s/a.lua:x: attempt", "/s/a.lua"), 0);
    assert_int_equal(line_of("/s/a.lua:0: attempt", "/s/a.lua"), 0);
    assert_int_equal(line_of("/s/a.lua:99999999999999999999: a", "/s/a.lua"), 0);
    assert_int_equal(line_of("see /s/a.lua:12: there", "/s/a.lua"), 0);
    assert_int_equal(line_of("", "/s/a.lua"), 0);
}

static void a_traceback_names_places_too(void **state)
{
    (void)state;
    const char text[] = "why\nstack traceback:\n\t[C]: in function 'error'\n"
                        "\t/s/a.lua:3: in upvalue 'f'\n\t/s/a.lua:7: in function 'main'";
    assert_int_equal(line_of(text, "/s/a.lua"), 3);
}

static void a_long_path_is_found_as_lua_shortens_it(void **state)
{
    (void)state;
    const char path[] = "/srv/www/sites/example.org/application/pages/members/login.lua";
    const char text[] =
        "...ww/sites/example.org/application/pages/members/login.lua:5: x";
    assert_int_equal(sizeof path - 1, 62);
    assert_int_equal(line_of(text, path), 5);
    assert_int_equal(line_of(text, path + 1), 5);
    assert_int_equal(line_of(text, path + 10), 0);
    assert_int_equal(
        line_of("/srv/www/sites/example.org/application/pages/members/login.lua:5: x",
                path),
        5);
}

static void a_file_may_have_a_shorter_name(void **state)
{
    (void)state;
    static const char path[] = "/s/t.html";
    struct fault fault = {0};
    fault_look(&fault, "t.html:2: x", path + 3, path);
    assert_int_equal(fault.line, 2);
    assert_ptr_equal(fault.path, path);
}

static void the_first_place_of_all_counts(void **state)
{
    (void)state;
    const char text[] = "/s/b.lua:1: x\nstack traceback:\n\t/s/a.lua:2: in main chunk";
    struct fault fault = {0};
    fault_look(&fault, text, "/s/a.lua", "/s/a.lua");
    assert_int_equal(fault.line, 2);
    fault_look(&fault, text, "/s/b.lua", "/s/b.lua");
    assert_int_equal(fault.line, 1);
    assert_string_equal(fault.path, "/s/b.lua");
    fault_look(&fault, text, "/s/a.lua", "/s/a.lua");
    assert_string_equal(fault.path, "/s/b.lua");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_begins_with_its_place),
        cmocka_unit_test(a_traceback_names_places_too),
        cmocka_unit_test(a_long_path_is_found_as_lua_shortens_it),
        cmocka_unit_test(a_file_may_have_a_shorter_name),
        cmocka_unit_test(the_first_place_of_all_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
