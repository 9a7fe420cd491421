/* Handles of scripts: counted when they are opened and closed. */
#include "lua/handle.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static int leave(void **state)
{
    return chdir("/") == 0 ? tear_down(state) : -1;
}

/* A state in whose directory relative names are looked up. */
static struct script *script_there(const char *text)
{
    assert_int_equal(chdir(directory), 0);
    return script(text);
}

static int open_now(struct script *s)
{
    return state_handles(s)->open;
}

static void files_are_counted_from_opening_to_closing(void **state)
{
    (void)state;
    write_file("some", "one\ntwo\n");
    struct script *s = script_there("");
    run(s, "a = io.open('some') b = io.tmpfile() c = io.popen('true') "
           "io.output('other') io.input('some')");
    assert_int_equal(open_now(s), 5);
    run(s, "a:close() b:close() c:close() io.close() io.input():close()");
    assert_int_equal(open_now(s), 0);
    run(s, "for line in io.lines('some') do end");
    assert_int_equal(open_now(s), 0);
    run(s, "next_line = io.lines('some') next_line()");
    assert_int_equal(open_now(s), 1);
    run(s, "next_line = nil collectgarbage()");
    assert_int_equal(open_now(s), 0);
    script_close(s);
}

static void what_could_not_be_opened_is_not_counted(void **state)
{
    (void)state;
    struct script *s = script_there("");
    run(s, "assert(io.open('none') == nil and not pcall(io.lines, 'none') and "
           "not pcall(io.input, 'none') and not pcall(io.popen, 'true', 'x'))");
    assert_int_equal(open_now(s), 0);
    script_close(s);
}

static void forgotten_files_are_collected_while_others_are_opened(void **state)
{
    (void)state;
    write_file("some", "text");
    struct script *s = script_there("collectgarbage('stop')");
    run(s, "for i = 1, 500 do io.open('some') end");
    assert_in_range(open_now(s), 1, 100);
    run(s, "kept = {} for i = 1, 100 do kept[i] = io.open('some') end "
           "for i = 1, 100 do assert(kept[i]:read() == 'text') end");
    assert_in_range(open_now(s), 100, 200);
    script_close(s);
}

static void garbage_is_due_after_a_child_or_many_files(void **state)
{
    (void)state;
    struct handles h = {0};
    assert_false(handle_is_due(&h));
    h.open = 1;
    assert_false(handle_is_due(&h));
    h.open = 32;
    assert_true(handle_is_due(&h));
    handle_collected(&h);
    assert_false(handle_is_due(&h)); /* they are in use */
    h.open = 33;
    h.children = 1;
    assert_true(handle_is_due(&h));
}

static void a_file_is_closed_whatever_a_script_does_to_its_metatable(void **state)
{
    (void)state;
    write_file("some", "text");
    struct script *s = script_there("local f = io.open('some') local m = getmetatable(f) "
                                    "m.__gc = nil m.own = function() return 'own' end "
                                    "assert(f:own() == 'own') f = nil collectgarbage()");
    assert_int_equal(open_now(s), 0);
    script_close(s);
}

#define TEST_THERE(name) cmocka_unit_test_setup_teardown(name, set_up, leave)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_THERE(files_are_counted_from_opening_to_closing),
        TEST_THERE(what_could_not_be_opened_is_not_counted),
        TEST_THERE(forgotten_files_are_collected_while_others_are_opened),
        TEST_THERE(garbage_is_due_after_a_child_or_many_files),
        TEST_THERE(a_file_is_closed_whatever_a_script_does_to_its_metatable),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
