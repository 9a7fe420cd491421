/* lf.query, lf.form, lf.field, lf.files, lf.header: what a script is told of what the
 * client sent. tests/integration/test_form.py has the rest. */
#include "lua/form_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/form_fixture.h"

#define BODY                                                                             \
    "--b\r\n" DISPOSITION "name=a\r\n\r\nform\r\n--b\r\n" DISPOSITION                    \
    "name=f; filename=x.txt\r\n\r\ndata\r\n--b--\r\n"

static void a_field_is_of_the_form_then_of_the_query(void **state)
{
    (void)state;
    static const char code[] =
        "return lf.field('a') .. lf.field('q') .. lf.field('n', '-')";
    assert_string_equal(answer_to(code, URLENCODED, "a=form&a=2"), "form1-");
    assert_string_equal(answer_to(code, MULTIPART, BODY), "form1-");
    assert_string_equal(answer_to(code, "text/plain", "a=form"), "query1-");
}

static void a_file_is_an_object(void **state)
{
    (void)state;
    assert_string_equal(
        answer_to("local f = lf.files().f return f.name .. f.size .. f.type "
                  ".. f:read() .. tostring(f:read(1)) .. tostring(f.other)",
                  MULTIPART, BODY),
        "x.txt4application/octet-streamdatanilnil");
    assert_string_equal(answer_to("return tostring(lf.form().f)", MULTIPART, BODY),
                        "nil");
    assert_non_null(
        strstr(answer_to("lf.files().f.size = 1", MULTIPART, BODY), "attempt to index"));
    assert_non_null(strstr(answer_to("lf.files().f.read(io.stdout)", MULTIPART, BODY),
                           "luafcgid2.file expected"));
}

/* debug could make any other object look like a file. */
static void another_object_is_no_file(void **state)
{
    (void)state;
    const char *got = answer_to(
        "local f = lf.files().f\n"
        "local m = debug.getregistry and debug.getregistry()['luafcgid2.file']\n"
        "local o = io.tmpfile() debug.setmetatable(o, m)\n"
        "return f.read(o)",
        MULTIPART, BODY);
    assert_memory_equal(got, "500: ", 5);
}

static void a_header_is_found_in_any_case(void **state)
{
    (void)state;
    assert_string_equal(
        answer_to("return lf.header('x-Y') .. lf.header('Content-type') .. "
                  "tostring(lf.header('x')) .. tostring(lf.header(''))",
                  "text/x", ""),
        "ztext/xnilnil");
}

static void what_is_no_form_is_refused(void **state)
{
    (void)state;
    assert_memory_equal(answer_to("lf.form()", MULTIPART, "--b"), "400: ", 5);
    assert_memory_equal(answer_to("lf.form()", "multipart/form-data", BODY), "400: ", 5);
    peer.body_end = IO_ABORTED;
    assert_memory_equal(answer_to("lf.form()", URLENCODED, "a=1"), "400: ", 5);
    peer.body_end = IO_OK;
}

static void limits_hold(void **state)
{
    (void)state;
    config->max_upload_size = 20;
    assert_memory_equal(answer_to("lf.form()", MULTIPART, BODY), "413: ", 5);
    config->max_upload_size = 0;
    config->max_post_size = 5;
    assert_memory_equal(answer_to("lf.form()", MULTIPART, BODY), "413: ", 5);
    config->max_post_size = 6;
    assert_string_equal(answer_to("return lf.form().a", MULTIPART, BODY), "form");
    config->max_form_fields = 1;
    assert_memory_equal(answer_to("lf.form()", MULTIPART, BODY), "400: ", 5);
}

static void nothing_is_there_outside_of_a_request(void **state)
{
    (void)state;
    struct script *s = script("");
    assert_raises(s, "lf.form()", "no request is being served");
    assert_raises(s, "lf.header('x')", "no request is being served");
    script_close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_field_is_of_the_form_then_of_the_query),
        TEST(a_file_is_an_object),
        TEST(another_object_is_no_file),
        TEST(a_header_is_found_in_any_case),
        TEST(what_is_no_form_is_refused),
        TEST(limits_hold),
        TEST(nothing_is_there_outside_of_a_request),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
