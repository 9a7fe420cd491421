/* Parameters of a request, and what is said of them before any script runs. */
#include "request.h"

#include "http/cookie.h"
#include "tests/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct request request;
static struct config config;
static struct message pairs; /* of the last call of parse */

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

/* The first `len` bytes of `pairs`, behind which request_parse wants room for one more.
 */
static bool parse_pairs(size_t len)
{
    put(&pairs, "", 1);
    pairs.len--;
    return request_parse(&request, (char *)pairs.data, len);
}

/* Parses parameters given as strings, NULL at the end. */
static void parse(const char *first, ...)
{
    va_list args;
    va_start(args, first);
    pairs.len = 0;
    for (const char *s = first; s != NULL; s = va_arg(args, const char *))
        put_parameter(&pairs, s);
    va_end(args);
    assert_true(parse_pairs(pairs.len));
}

static const char *value_of(const char *name)
{
    const char *value = NULL;
    for (size_t i = 0; i < request.param_count; i++) {
        const struct request_param *p = &request.params[i];
        if (p->name_len == strlen(name) && memcmp(p->name, name, p->name_len) == 0) {
            assert_int_equal(p->value_len, strlen(p->value));
            value = p->value;
        }
    }
    return value;
}

static void known_parameters_are_found_and_all_are_kept(void **state)
{
    (void)state;
    parse("SCRIPT_FILENAME=/srv/a.lua", "DOCUMENT_ROOT=/srv", "SCRIPT_NAME=/a.lua",
          "REQUEST_METHOD=POST", "SERVER_NAME=pi", "HTTP_COOKIE=a=b", "EMPTY=", "X=a=b",
          "CONTENT_LENGTH=42", NULL);
    assert_string_equal(request.script_filename, "/srv/a.lua");
    assert_string_equal(request.document_root, "/srv");
    assert_string_equal(request.script_name, "/a.lua");
    assert_string_equal(request.request_method, "POST");
    assert_string_equal(request.server_name, "pi");
    assert_string_equal(request.cookie, "a=b");
    assert_string_equal(request.https, "");
    assert_int_equal(request.content_length, 42);
    assert_int_equal(request.param_count, 10); /* FCGI_ROLE too */
    assert_string_equal(value_of("EMPTY"), "");
    assert_string_equal(value_of("X"), "a=b");
    parse("HTTPS=on", "REQUEST_SCHEME=https", "REMOTE_ADDR=::1", "HTTP_USER_AGENT=lynx",
          "HTTP_ACCEPT_LANGUAGE=en", "SERVER_NAM=x", "=", NULL);
    assert_string_equal(request.https, "on");
    assert_string_equal(request.request_scheme, "https");
    assert_string_equal(request.remote_addr, "::1");
    assert_string_equal(request.user_agent, "lynx");
    assert_string_equal(request.accept_language, "en");
    assert_string_equal(request.server_name, "");
}

static void nothing_is_left_from_the_request_before(void **state)
{
    (void)state;
    parse("SCRIPT_FILENAME=/srv/a.lua", "HTTP_COOKIE=secret", "CONTENT_LENGTH=9", NULL);
    tear_down(NULL);
    set_up(NULL);
    parse("REQUEST_METHOD=GET", NULL);
    assert_string_equal(request.script_filename, "");
    assert_string_equal(request.cookie, "");
    assert_int_equal(request.content_length, -1);
    assert_int_equal(request.param_count, 2);
}

static void apache_decorates_the_script_filename(void **state)
{
    (void)state;
    static const char *const forms[] = {
        "SCRIPT_FILENAME=proxy:fcgi://127.0.0.1:9000/srv/a.lua",
        "SCRIPT_FILENAME=proxy:fcgi://localhost/srv/a.lua",
        "SCRIPT_FILENAME=proxy:unix:/run/l.sock|fcgi://localhost/srv/a.lua",
        "SCRIPT_FILENAME=proxy:fcgi://[::1]:9000/srv/a.lua?x=/y",
    };
    for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
        parse(forms[i], NULL);
        assert_string_equal(request.script_filename, "/srv/a.lua");
        assert_string_equal(value_of("SCRIPT_FILENAME"), "/srv/a.lua");
    }
    parse("SCRIPT_FILENAME=/srv/proxy:fcgi://x/a.lua?b", NULL);
    assert_string_equal(request.script_filename, "/srv/proxy:fcgi://x/a.lua?b");
    parse("SCRIPT_FILENAME=proxy:fcgi://no-path", NULL);
    assert_string_equal(request.script_filename, "proxy:fcgi://no-path");
}

static void a_missing_document_root_is_derived(void **state)
{
    (void)state;
    parse("SCRIPT_FILENAME=/srv/www/d/a.lua", "SCRIPT_NAME=/d/a.lua", NULL);
    assert_string_equal(request.document_root, "/srv/www");
    assert_string_equal(value_of("DOCUMENT_ROOT"), "/srv/www");
    parse("SCRIPT_FILENAME=/srv/www/other.lua", "SCRIPT_NAME=/d/a.lua", NULL);
    assert_string_equal(request.document_root, "");
    parse("SCRIPT_FILENAME=/srv/a.lua", "SCRIPT_NAME=/a.lua", "DOCUMENT_ROOT=/given/",
          NULL);
    assert_string_equal(request.document_root, "/given");
    assert_string_equal(value_of("DOCUMENT_ROOT"), "/given/");
}

static void the_clients_proxy_header_is_dropped(void **state)
{
    (void)state;
    parse("HTTP_PROXY=http://evil/", "HTTP_PROXY_X=kept", NULL);
    assert_null(value_of("HTTP_PROXY"));
    assert_string_equal(value_of("HTTP_PROXY_X"), "kept");
}

static void a_length_that_is_none_is_unknown(void **state)
{
    (void)state;
    static const char *const lengths[] = {"CONTENT_LENGTH=-1",
                                          "CONTENT_LENGTH=", "CONTENT_LENGTH=12x",
                                          "CONTENT_LENGTH= 1"};
    for (size_t i = 0; i < 4; i++) {
        parse(lengths[i], NULL);
        assert_int_equal(request.content_length, -1);
    }
    parse("CONTENT_LENGTH=-1", NULL);
    assert_null(value_of("CONTENT_LENGTH"));
    parse("CONTENT_LENGTH=", NULL);
    assert_string_equal(value_of("CONTENT_LENGTH"), "");
}

static void more_parameters_than_usual_fit(void **state)
{
    (void)state;
    pairs.len = 0;
    for (int i = 0; i < 500; i++) {
        char text[32];
        snprintf(text, sizeof text, "P%d=%d", i, i);
        put_parameter(&pairs, text);
    }
    assert_true(parse_pairs(pairs.len));
    assert_int_equal(request.param_count, 501);
    assert_string_equal(value_of("FCGI_ROLE"), "RESPONDER");
    assert_string_equal(value_of("P499"), "499");
}

static void parameters_cut_short_are_refused(void **state)
{
    (void)state;
    for (size_t cut = 1; cut < 10; cut++) {
        parse("NAME=1", "LONG=234", NULL);
        pairs.len = 0;
        put_parameter(&pairs, "NAME=1");
        put_parameter(&pairs, "LONG=234");
        bool between = pairs.len - cut == 7;
        assert_int_equal(parse_pairs(pairs.len - cut), between);
    }
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

static void cookies_are_read_leniently_but_only_semicolons_separate(void **state)
{
    (void)state;
    static const struct {
        const char *header, *expected; /* "[name=value]" for each */
    } cases[] = {
        {"", ""},
        {"a=1", "[a=1]"},
        {"a=1; b=2;c=3,d=4", "[a=1][b=2][c=3,d=4]"},
        {"a=\"x y\"; b=\"q;r,s\"; c=\"", "[a=x y][b=\"q][r,s\"=][c=\"]"},
        {"a=\"1,2\";b=\"\";c=x\"y\"", "[a=1,2][b=][c=x\"y\"]"},
        {"flag; a=", "[flag=][a=]"},
        {" a = b ; =x;; c=d=e ", "[a=b][c=d=e]"},
        {";; ;\t", ""},
        {",; a=1", "[,=][a=1]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *header = cases[i].header;
        struct cookie c;
        struct buffer out = {0};
        while (cookie_next(&header, &c))
            buffer_printf(&out, "[%.*s=%.*s]", (int)c.name_len, c.name, (int)c.value_len,
                          c.value);
        buffer_append(&out, "", 1);
        assert_string_equal(out.data, cases[i].expected);
        buffer_free(&out);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(known_parameters_are_found_and_all_are_kept),
        TEST(nothing_is_left_from_the_request_before),
        TEST(apache_decorates_the_script_filename),
        TEST(a_missing_document_root_is_derived),
        TEST(the_clients_proxy_header_is_dropped),
        TEST(a_length_that_is_none_is_unknown),
        TEST(more_parameters_than_usual_fit),
        TEST(parameters_cut_short_are_refused),
        TEST(requests_are_refused_before_a_script_is_looked_for),
        TEST(a_status_is_three_digits_and_a_reason),
        TEST(cookies_are_read_leniently_but_only_semicolons_separate),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
