/* Functions and methods that scripts call, on a request that no web server sent. */
#include "lua/api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

static void assert_header(const char *name, const char *value)
{
    size_t len = 0;
    const char *found = headers_get(&request.headers, name, &len);
    if (value == NULL) {
        assert_null(found);
        return;
    }
    assert_non_null(found);
    assert_int_equal(len, strlen(value));
    assert_memory_equal(found, value, len);
}

/* The entry point with this body. */
static struct script *page(const char *body)
{
    char text[2048];
    assert_true(snprintf(text, sizeof text, "function main(env, con) %s end", body) <
                (int)sizeof text);
    return script(text);
}

/* The entry point with this body answers that. */
static void assert_page(const char *body, const char *answer)
{
    struct script *s = page(body);
    const char *got = serve(s, "A=1");
    if (strcmp(got, answer) != 0)
        fail_msg("%s\nanswers \"%s\", not \"%s\"", body, got, answer);
    script_close(s);
}

/* It fails with a message that has `part` in it. */
static void assert_page_fails(const char *body, const char *part)
{
    struct script *s = page(body);
    struct script_error error = {0};
    begin_request((const char *const[]){"A=1", ""});
    assert_null(answer(s, &error));
    assert_int_equal(error.status, 500);
    if (strstr(error.message, part) == NULL)
        fail_msg("%s\nsays \"%s\", not \"%s\"", body, error.message, part);
    state_error_clear(&error);
    script_close(s);
}

static void what_is_sent_adds_up(void **state)
{
    (void)state;
    assert_page("Send('a', 1, 2.5) con:puts('b') Send() Send('')", "a12.5b");
    assert_page_fails("Send('a', nil)", "string expected");
    assert_page_fails("Send({})", "string expected");
}

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
        assert_string_equal(request.status, rows[i][1]);
    }
    assert_page_fails("RespStatus('nonsense')", "HTTP status");
    assert_page_fails("RespStatus('200 O\\nK')", "HTTP status");
    assert_string_equal(request.status, "200 OK"); /* nothing of it stays */
}

static void resetting_drops_the_body_and_as_a_function_the_headers_too(void **state)
{
    (void)state;
    assert_page("Send('gone') Header('X-A', '1') con:reset() Send('kept')", "kept");
    assert_header("X-A", "1");
    assert_page("Send('gone') Header('X-A', '1') RespStatus(404) Reset() Send('kept')",
                "kept");
    assert_header("X-A", NULL);
    assert_string_equal(request.status, "200 OK");
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

static void a_con_of_a_request_that_is_over_is_an_error(void **state)
{
    (void)state;
    struct script *s = script("function main(env, con) kept = kept or con "
                              "local ok, why = pcall(kept.puts, kept, 'x') "
                              "if not ok then return why end end");
    assert_string_equal(serve(s, "A=1"), "x");
    const char *second = serve(s, "A=1");
    assert_non_null(strstr(second, "a request that is over"));
    script_close(s);
}

static void while_a_script_is_loaded_there_is_no_request(void **state)
{
    (void)state;
    struct script *s =
        script("ok, why = pcall(Send, 'x') function main() return why end");
    assert_non_null(strstr(serve(s, "A=1"), "no request is being served"));
    script_close(s);
}

static void texts_are_logged_as_they_are(void **state)
{
    (void)state;
    assert_page("Log('100% %s') con:log('by method')", "");
    assert_logged("info: 100% %s\n");
    assert_logged("info: by method\n");
}

static void values_that_every_script_finds(void **state)
{
    (void)state;
    assert_page("assert(LUAFCGID == true and LUAFCGID_VERSION == 2) "
                "assert(Response[404] == '404 Not Found' and Response[299] == nil) "
                "assert(require 'luafcgid' == lf and require 'luafcgid2' == lf) "
                "assert(type(Config) == 'table') return Dir() == Env.DIR and 'x' or 'y'",
                "y");
    assert_page("local f = io.open(Dir() .. '/script.lua') f:close() return 'there'",
                "there");
}

static void what_a_body_may_take_counts_for_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 2 << 20;
    assert_page_fails("while true do pcall(Send, ('x'):rep(10000)) end",
                      "memory limit exceeded");
    assert_true(request.body.cap < 4 << 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_sent_adds_up),
        TEST(a_returned_text_is_the_body_and_numbers_are_texts),
        TEST(the_entry_point_is_looked_up_anew),
        TEST(without_an_entry_point_it_is_an_error_that_says_so),
        TEST(headers_are_set_in_each_way),
        TEST(the_status_is_set_by_text_or_number),
        TEST(resetting_drops_the_body_and_as_a_function_the_headers_too),
        TEST(settings_of_the_request_give_their_value_before),
        TEST(a_con_of_a_request_that_is_over_is_an_error),
        TEST(while_a_script_is_loaded_there_is_no_request),
        TEST(texts_are_logged_as_they_are),
        TEST(values_that_every_script_finds),
        TEST(what_a_body_may_take_counts_for_the_memory_limit),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
