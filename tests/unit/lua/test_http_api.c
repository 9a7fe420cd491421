/* HTTP's dates and media types, called as scripts call them. */
#include "lua/http_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void dates_go_there_and_back(void **state)
{
    (void)state;
    check("is(lf.http_date(784111777), 'Sun, 06 Nov 1994 08:49:37 GMT') "
          "is(lf.http_date(784111777.9), 'Sun, 06 Nov 1994 08:49:37 GMT') "
          "is(lf.http_date(-0.5), 'Wed, 31 Dec 1969 23:59:59 GMT') "
          "is(lf.parse_http_date('Sun, 06 Nov 1994 08:49:37 GMT'), 784111777) "
          "is(lf.parse_http_date('Sunday, 06-Nov-94 08:49:37 GMT'), 784111777) "
          "local now = os.time() local t = lf.parse_http_date(lf.http_date()) "
          "assert(t >= now and t <= now + 60)");
}

static void a_text_that_is_no_date_gives_nil_and_a_reason(void **state)
{
    (void)state;
    check("local t, why = lf.parse_http_date('yesterday') is(t, nil) "
          "is(why, 'not an HTTP date') is(lf.parse_http_date(''), nil)");
}

static void the_type_of_a_file_is_told_by_its_name(void **state)
{
    (void)state;
    check("is(lf.mime('a/b.PNG'), 'image/png') "
          "is(lf.mime('x'), 'application/octet-stream')");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    assert_page_fails("lf.http_date('soon')", "bad argument #1 to 'http_date'");
    assert_page_fails("lf.http_date(1e15)", "a time of the years 1 to 9999 expected");
    assert_page_fails("lf.http_date(0/0)", "a time of the years 1 to 9999 expected");
    assert_page_fails("lf.parse_http_date()", "bad argument #1 to 'parse_http_date'");
    assert_page_fails("lf.mime(nil)", "bad argument #1 to 'mime'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(dates_go_there_and_back),
        TEST(a_text_that_is_no_date_gives_nil_and_a_reason),
        TEST(the_type_of_a_file_is_told_by_its_name),
        TEST(a_wrong_argument_is_named),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
