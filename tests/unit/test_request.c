/* What is said of a request before any script runs, and its status. */
#include "request.h"

#include "tests/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct request request;
static struct config config;

static int set_up(void **state)
{
    (void)state;
    static char lua[] = ".lua";
    static char *allowed[] = {lua, NULL};
    static char text[] = "text/html", ok[] = "200 OK", empty[] = "";
    config = (struct config){.allowed_extensions = allowed,
                             .max_post_size = 100,
                             .default_content_type = text,
                             .default_headers = empty,
                             .default_http_status = ok};
    request = (struct request){.config = &config};
    assert_true(request_init(&request));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    request_free(&request);
    return 0;
}

/* Parses parameters given as strings, NULL at the end. */
static void parse(const char *first, ...)
{
    static struct message pairs; /* used until the next call */
    va_list args;
    va_start(args, first);
    pairs.len = 0;
    for (const char *s = first; s != NULL; s = va_arg(args, const char *))
        put_parameter(&pairs, s);
    va_end(args);
    put(&pairs, "", 1); /* the room that params_parse wants */
    assert_true(params_parse(&request.params, (char *)pairs.data, pairs.len - 1));
}

static void requests_are_refused_before_a_script_is_looked_for(void **state)
{
    (void)state;
    const char *why = NULL;
    parse("REQUEST_METHOD=GET", NULL);
    assert_int_equal(request_refuse(&request, &why), 500);
    assert_non_null(strstr(why, "fastcgi_param SCRIPT_FILENAME"));
    parse("SCRIPT_FILENAME=/srv/passwd", NULL);
    assert_int_equal(request_refuse(&request, &why), 404);
    parse("SCRIPT_FILENAME=.lua", NULL);
    assert_int_equal(request_refuse(&request, &why), 404);
    parse("SCRIPT_FILENAME=/srv/a.lua", "CONTENT_LENGTH=101", NULL);
    assert_int_equal(request_refuse(&request, &why), 413);
    parse("SCRIPT_FILENAME=/srv/a.lua", "CONTENT_LENGTH=100", NULL);
    assert_int_equal(request_refuse(&request, &why), 0);
    config.max_post_size = 0;
    parse("SCRIPT_FILENAME=/srv/a.lua", "CONTENT_LENGTH=99999999999999999999", NULL);
    assert_int_equal(request_refuse(&request, &why), 0);
}

static void a_status_is_three_digits_and_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *given, *kept;
    } good[] = {
        {"404 Not Found", "404 Not Found"},
        {"404", "404 Not Found"},
        {"299 All Mine", "299 All Mine"},
        {"599", "599 Unassigned"},
    };
    static const char *const bad[] = {
        "",           "40",    "404x",         "4040", "abc",    "000 No",
        "404 a\r\nb", "-12 a", "100 Continue", "199",  "600 No", "999"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_true(request_set_status(&request, good[i].given, strlen(good[i].given)));
        assert_string_equal(request.status, good[i].kept);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(request_set_status(&request, bad[i], strlen(bad[i])));
    assert_false(request_set_status(&request, "404 a\0b", 7));
    assert_string_equal(request.status, "599 Unassigned");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_refused_before_a_script_is_looked_for),
        TEST(a_status_is_three_digits_and_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
