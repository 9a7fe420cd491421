/* The response that a script makes, on a request that no web server sent. */
#include "lua/response_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void assert_header(const char *name, const char *value)
{
    size_t len = 0;
    const char *found = request_header(request, name, &len);
    if (value == NULL) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(found, value, len);
}

static void what_is_sent_adds_up(void **state)
{
    (void)state;
    assert_page("Send('a', 1, 2.5) con:puts('b') Send() Send('')", "a12.5b");
    assert_page_fails("Send('a', nil)", "string expected");
    assert_page_fails("Send({})", "string expected");
}

static void headers_are_set_in_each_way(void **state)
{
    (void)state;
    assert_page("Header('X-A', 'one') con:header('X-B', 2) Header('X-C: three') "
                "Header('x-a', 'last') RespContentType('text/plain')",
                "");
    assert_header("X-A", "last");
    assert_header("X-B", "2");
    assert_header("X-C", "three");
    assert_header("Content-Type", "text/plain");
    assert_page_fails("Header('X-A', 'a\\r\\nX-B: b')", "X-A");
    assert_header("X-A", NULL);
    assert_header("X-B", NULL);
}

static void the_status_is_set_by_text_or_number(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"RespStatus('404 Not Found')", "404 Not Found"},
        {"RespStatus(404)", "404 Not Found"},
        {"RespStatus('299 My Own')", "299 My Own"},
        {"con:config('httpstatus', '503 Later')", "503 Later"},
        {"Header('Status', '301 Moved')", "301 Moved"},
        {"Header('Status: 410 Gone')", "410 Gone"},
        {"", "200 OK"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_page(rows[i][0], "");
        assert_string_equal(request_status(request), rows[i][1]);
    }
    assert_page_fails("RespStatus('nonsense')", "HTTP status");
    assert_page_fails("RespStatus('200 O\\nK')", "HTTP status");
    assert_string_equal(request_status(request), "200 OK"); /* nothing of it stays */
}

static void resetting_drops_the_body_and_as_a_function_the_headers_too(void **state)
{
    (void)state;
    assert_page("Send('gone') Header('X-A', '1') con:reset() Send('kept')", "kept");
    assert_header("X-A", "1");
    assert_page("Send('gone') Header('X-A', '1') RespStatus(404) Reset() Send('kept')",
                "kept");
    assert_header("X-A", NULL);
    assert_string_equal(request_status(request), "200 OK");
}

static void settings_of_the_request_give_their_value_before(void **state)
{
    (void)state;
    assert_page("return con:config('httpstatus', '404 Not Found') .. '; ' .. "
                "con:config('httpstatus')",
                "200 OK; 404 Not Found");
    assert_page("return tostring(con:config('contenttype', 'a/b')) .. "
                "con:config('contenttype')",
                "text/htmla/b");
    assert_page("return tostring(con:config('buffering'))", "true");
    assert_page("Header('X-A', '1') con:config('headers', 'X-B: 2') "
                "return con:config('headers')",
                "Content-Type: text/html\r\nX-B: 2\r\n");
}

static void what_a_body_may_take_counts_for_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 2 << 20;
    assert_page_fails("while true do pcall(Send, ('x'):rep(10000)) end",
                      "memory limit exceeded");
    assert_true(request_buffer(request)->cap < 4 << 20);
}

static void what_con_puts_gets_too_much_it_ignores(void **state)
{
    (void)state;
    assert_page("con:puts(('abc'):gsub('b', 'x')) con:puts() con:header()", "axc");
    assert_page_fails("con:puts(nil)", "bad argument #1 to 'puts'");
    assert_page_fails("Header()", "bad argument #1 to 'Header'");
}

static void a_setting_that_is_unknown_is_nil(void **state)
{
    (void)state;
    assert_page("return tostring(con:config('colour', 'red'))", "nil");
    assert_page("return select('#', con:config())", "0");
    assert_logged("there is no setting 'colour'");
}

static void redirect_sends_to_another_page_and_drops_the_body(void **state)
{
    (void)state;
    assert_page("Send('lost') Redirect('/b.lua?x=1') ", "");
    assert_header("Location", "/b.lua?x=1");
    assert_string_equal(request_status(request), "302 Found");
    assert_page("Redirect('https://example.org/', 301) Send('moved')", "moved");
    assert_string_equal(request_status(request), "301 Moved Permanently");
    assert_page("Redirect('/', 303.0)", "");
    assert_string_equal(request_status(request), "303 See Other");
}

static void redirect_encodes_what_a_url_cannot_have(void **state)
{
    (void)state;
    assert_page("Redirect('/a b/\xc3\xbc%20?q=<\"\\\\>#x')", "");
    assert_header("Location", "/a%20b/%C3%BC%20?q=%3C%22%5C%3E#x");
}

static void a_wrong_argument_of_redirect_is_named(void **state)
{
    (void)state;
    assert_page_fails("Redirect()", "bad argument #1 to 'Redirect'");
    assert_page_fails("Redirect('')", "bad argument #1 to 'Redirect' (a URL expected)");
    assert_page_fails("Redirect('/a\\r\\nX: y')", "without control characters");
    assert_page_fails("Redirect('/a\\0')", "without control characters");
    assert_page_fails("Redirect('/', 200)", "301, 302, 303, 307 or 308 expected");
    assert_page_fails("Redirect(('x'):rep(70000))", "the URL is too long");
    assert_page("Send('x') Flush() Redirect('/') return 'y'", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_sent_adds_up),
        TEST(headers_are_set_in_each_way),
        TEST(the_status_is_set_by_text_or_number),
        TEST(resetting_drops_the_body_and_as_a_function_the_headers_too),
        TEST(settings_of_the_request_give_their_value_before),
        TEST(what_a_body_may_take_counts_for_the_memory_limit),
        TEST(what_con_puts_gets_too_much_it_ignores),
        TEST(a_setting_that_is_unknown_is_nil),
        TEST(redirect_sends_to_another_page_and_drops_the_body),
        TEST(redirect_encodes_what_a_url_cannot_have),
        TEST(a_wrong_argument_of_redirect_is_named),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
