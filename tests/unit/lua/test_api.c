/* The entry point: how it is found, called, and what it returns. */
#include "lua/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void a_returned_text_is_the_body_and_numbers_are_texts(void **state)
{
    (void)state;
    assert_page("return 'text'", "text");
    assert_page("return 42", "42");
    assert_page("return nil", "");
    assert_page("return {}", "");
    assert_page("return", "");
}

static void the_entry_point_is_looked_up_anew(void **state)
{
    (void)state;
    struct script *s = script("function main() main = function() return 'second' end "
                              "return 'first' end");
    assert_string_equal(serve(s, "A=1"), "first");
    assert_string_equal(serve(s, "A=1"), "second");
    script_close(s);
    s = script("function handler() return 'of 2009' end");
    assert_string_equal(serve(s, "A=1"), "of 2009");
    script_close(s);
}

static void without_an_entry_point_it_is_an_error_that_says_so(void **state)
{
    (void)state;
    struct script *s = script("x = 1");
    struct script_error error = {0};
    begin_request((const char *const[]){"A=1", ""});
    assert_null(answer(s, &error));
    assert_non_null(strstr(error.message, "no entry point"));
    state_error_clear(&error);
    free(config->entrypoint);
    config->entrypoint = strdup("serve");
    config->entrypoint_set = true;
    assert_null(answer(s, &error));
    assert_non_null(strstr(error.message, "'serve' (Entrypoint)"));
    state_error_clear(&error);
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_returned_text_is_the_body_and_numbers_are_texts),
        TEST(the_entry_point_is_looked_up_anew),
        TEST(without_an_entry_point_it_is_an_error_that_says_so),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
