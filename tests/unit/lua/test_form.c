/* Reading forms: what is parsed once, what is refused, and what stays refused. */
#include "lua/form.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/form_fixture.h"

#define FIELD(name, value) "--b\r\n" DISPOSITION "name=" name "\r\n\r\n" value "\r\n"
#define END                "--b--\r\n"

static void each_table_is_made_once_a_request(void **state)
{
    (void)state;
    assert_answer("assert(lf.form() == lf.form() and lf.query() == lf.query() and "
                  "lf.files() == lf.files()) lf.form().x = 'y' return lf.form().x",
                  URLENCODED, "a=b", "y");
}

static void the_next_request_has_tables_of_its_own(void **state)
{
    (void)state;
    struct script *s =
        page("local f = lf.query() f.n = (f.n or 0) + 1 return f.a .. f.n");
    assert_string_equal(serve(s, "QUERY_STRING=a=1"), "11");
    assert_string_equal(serve(s, "QUERY_STRING=a=2"), "21");
    script_close(s);
}

static void both_encodings_give_the_same(void **state)
{
    (void)state;
    static const char code[] = "local f = lf.form() return f.a .. #f.b .. f.b[2]";
    assert_answer(code, URLENCODED, "a=1&b=2&b=3", "123");
    assert_answer(code, "Application/X-WWW-Form-URLEncoded; charset=utf-8", "a=1&b=2&b=3",
                  "123");
    assert_answer(code, MULTIPART, FIELD("a", "1") FIELD("b", "2") FIELD("b", "3") END,
                  "123");
}

static void a_body_of_another_type_is_left_to_the_script(void **state)
{
    (void)state;
    assert_answer("return tostring(next(lf.form())) .. tostring(next(lf.files())) .. "
                  "Receive()",
                  "text/plain", "a=1", "nilnila=1");
}

static void a_body_that_was_read_is_an_error(void **state)
{
    (void)state;
    assert_refused("Receive(1) lf.form()", URLENCODED, "a=1", "500", "read already");
    assert_refused("Receive(1) lf.form()", MULTIPART, FIELD("a", "1") END, "500",
                   "read already");
}

static void a_malformed_body_is_refused_again_and_again(void **state)
{
    (void)state;
    static const char code[] = "local a, x = pcall(lf.form) local b, y = pcall(lf.files) "
                               "assert(not a and not b and x == y) error(x, 0)";
    assert_refused(code, MULTIPART, FIELD("a", "1"), "400", "last boundary");
    assert_refused(code, "multipart/form-data", FIELD("a", "1") END, "400",
                   "no boundary");
    assert_refused(code, MULTIPART, "--b\r\n\r\nx\r\n--b--", "400", "malformed");
}

static void a_body_that_is_too_large_is_refused(void **state)
{
    (void)state;
    config->max_post_size = 20;
    assert_refused("lf.form()", URLENCODED, "a=123456789012345678901", "413", "");
    assert_refused("lf.form()", MULTIPART, FIELD("a", "123456789012345678901") END, "413",
                   "MaxPostSize");
    assert_answer("return lf.form().a", MULTIPART, FIELD("a", "1234567890123456789") END,
                  "1234567890123456789");
    config->max_upload_size = 100;
    assert_refused("lf.form()", MULTIPART,
                   "--b\r\n" DISPOSITION "name=f; filename=x\r\n\r\n"
                   "----------------------------------------------------------\r\n" END,
                   "413", "MaxUploadSize");
}

static void a_body_that_breaks_off_is_refused(void **state)
{
    (void)state;
    peer.body_end = IO_ABORTED;
    assert_refused("lf.form()", URLENCODED, "a=1", "400", "did not arrive whole");
}

static void fields_and_files_count_together(void **state)
{
    (void)state;
    config->max_form_fields = 2;
    assert_answer("return lf.form().b", MULTIPART, FIELD("a", "1") FIELD("b", "2") END,
                  "2");
    assert_refused("lf.form()", MULTIPART,
                   FIELD("a", "1") FIELD("b", "2") "--b\r\n" DISPOSITION
                                                   "name=f; filename=x\r\n\r\nx\r\n" END,
                   "400", "MaxFormFields");
}

static void it_comes_in_pieces_of_any_size(void **state)
{
    (void)state;
    for (peer.chunk = 1; peer.chunk < 90; peer.chunk++)
        assert_answer("return lf.form().a .. lf.files().f:read()", MULTIPART,
                      FIELD("a", "\r\n--") "--b\r\n" DISPOSITION
                                           "name=f; filename=x\r\n\r\n\r\n--\r\n" END,
                      "\r\n--\r\n--");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_table_is_made_once_a_request),
        TEST(the_next_request_has_tables_of_its_own),
        TEST(both_encodings_give_the_same),
        TEST(a_body_of_another_type_is_left_to_the_script),
        TEST(a_body_that_was_read_is_an_error),
        TEST(a_malformed_body_is_refused_again_and_again),
        TEST(a_body_that_is_too_large_is_refused),
        TEST(a_body_that_breaks_off_is_refused),
        TEST(fields_and_files_count_together),
        TEST(it_comes_in_pieces_of_any_size),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
