/* The standard library as scripts get it: what is the whole process's. */
#include "lua/library.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void exit_ends_the_request_whatever_would_catch_it(void **state)
{
    (void)state;
    struct script *s = script("n = 0");
    run(s, "n = 1 os.exit() n = 2");
    run(s, "assert(n == 1) pcall(os.exit, true) n = 3");
    run(s, "assert(n == 1) xpcall(os.exit, print) n = 4");
    run(s, "assert(n == 1) coroutine.wrap(function() os.exit(1, true) end)() n = 5");
    run(s, "assert(n == 1)");
    script_close(s);
}

static void the_locale_is_told_but_not_changed(void **state)
{
    (void)state;
    check("local now = os.setlocale() is(now, 'C') is(os.setlocale(nil), now) "
          "is(os.setlocale('C'), now) is(os.setlocale('C', 'numeric'), now) "
          "is(os.setlocale('de_DE.UTF-8'), nil) is(os.setlocale(), now)");
}

static void an_exit_while_the_script_is_loaded_is_an_error(void **state)
{
    (void)state;
    struct script_error error = {0};
    assert_null(load(write_file("exits.lua", "os.exit()"), &error));
    assert_non_null(strstr(error.message, "os.exit called while the script was loaded"));
    state_error_clear(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(exit_ends_the_request_whatever_would_catch_it),
        TEST(the_locale_is_told_but_not_changed),
        TEST(an_exit_while_the_script_is_loaded_is_an_error),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
