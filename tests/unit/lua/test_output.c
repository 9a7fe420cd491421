/* Standard output of scripts, which is the log. */
#include "lua/output.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void standard_output_is_the_log_line_by_line(void **state)
{
    (void)state;
    struct script *s = script("print('at load', 1, nil)");
    assert_logged(": at load\\t1\\tnil\n"); /* tabs are escaped */
    run(s, "io.write('no end') io.stdout:write(', still none', 2.5) io.write('\\nthe "
           "next')");
    assert_logged(": no end, still none2.5\n");
    script_close(s);
    assert_logged(": the next\n"); /* what is left unfinished is not lost */
}

static void a_very_long_line_is_cut(void **state)
{
    (void)state;
    struct script *s = script("");
    run(s, "io.write(('x'):rep(5000)) print('y') print('next')");
    const char *line = strstr(logged(), ": xxx");
    assert_non_null(line);
    assert_int_equal(strspn(line + 2, "x"), 4096);
    assert_int_equal(line[2 + 4096], '\n');
    assert_logged(": next\n");
    script_close(s);
}

static void files_are_written_as_ever(void **state)
{
    (void)state;
    check(
        "local name = os.tmpname() local f = io.open(name, 'w') "
        "assert(f:write('a', 1) == f) io.output(f) assert(io.write('b') == f) f:close() "
        "f = io.open(name) assert(f:read('a') == 'a1b') f:close() os.remove(name) "
        "assert(io.stdout:write('c', 'd') == io.stdout)");
    assert_logged(": cd\n");
}

static void only_texts_and_numbers_are_written(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_raises(s, "io.write({})", "to 'write' (string expected, got table)");
    assert_raises(s, "io.stdout:write('a', nil)", "bad argument #2 to 'write'");
    run(s, "print(setmetatable({}, {__tostring = function() return 'own text' end}))");
    assert_logged("own text\n");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(standard_output_is_the_log_line_by_line),
        TEST(a_very_long_line_is_cut),
        TEST(files_are_written_as_ever),
        TEST(only_texts_and_numbers_are_written),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
