/* Parameters of a request: parsed, kept, and repaired where web servers differ. */
#include "request/params.h"

#include "tests/records.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct params params;
static struct message pairs; /* of the last call of parse */

static int tear_down(void **state)
{
    (void)state;
    params_free(&params);
    drop(&pairs);
    return 0;
}

/* The first `len` bytes of `pairs`, behind which params_parse wants room for one more.
 */
static bool parse_pairs(size_t len)
{
    put(&pairs, "", 1);
    pairs.len--;
    return params_parse(&params, (char *)pairs.data, len);
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
    for (size_t i = 0; i < params.count; i++) {
        const struct param *p = &params.list[i];
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
    assert_string_equal(params.values[PARAM_SCRIPT_FILENAME], "/srv/a.lua");
    assert_string_equal(params.values[PARAM_DOCUMENT_ROOT], "/srv");
    assert_string_equal(params.values[PARAM_SCRIPT_NAME], "/a.lua");
    assert_string_equal(params.values[PARAM_REQUEST_METHOD], "POST");
    assert_string_equal(params.values[PARAM_SERVER_NAME], "pi");
    assert_string_equal(params.values[PARAM_HTTP_COOKIE], "a=b");
    assert_string_equal(params.values[PARAM_HTTPS], "");
    assert_int_equal(params.content_length, 42);
    assert_int_equal(params.count, 10); /* FCGI_ROLE too */
    assert_string_equal(value_of("EMPTY"), "");
    assert_string_equal(value_of("X"), "a=b");
    parse("HTTPS=on", "REQUEST_SCHEME=https", "REMOTE_ADDR=::1", "HTTP_USER_AGENT=lynx",
          "HTTP_ACCEPT_LANGUAGE=en", "SERVER_NAM=x", "=", NULL);
    assert_string_equal(params.values[PARAM_HTTPS], "on");
    assert_string_equal(params.values[PARAM_REQUEST_SCHEME], "https");
    assert_string_equal(params.values[PARAM_REMOTE_ADDR], "::1");
    assert_string_equal(params.values[PARAM_HTTP_USER_AGENT], "lynx");
    assert_string_equal(params.values[PARAM_HTTP_ACCEPT_LANGUAGE], "en");
    assert_string_equal(params.values[PARAM_SERVER_NAME], "");
}

static void every_parameter_that_the_daemon_looks_at_is_found(void **state)
{
    (void)state;
    static const char *const names[PARAM_NAMES] = {
#define NAME(name) [PARAM_##name] = #name
        NAME(HTTPS),           NAME(HTTP_PROXY),      NAME(REQUEST_ID),
        NAME(SCRIPT_NAME),     NAME(REQUEST_URI),     NAME(SERVER_NAME),
        NAME(REMOTE_USER),     NAME(HTTP_COOKIE),     NAME(REMOTE_ADDR),
        NAME(HTTP_REFERER),    NAME(DOCUMENT_ROOT),   NAME(REQUEST_METHOD),
        NAME(CONTENT_LENGTH),  NAME(REQUEST_SCHEME),  NAME(SCRIPT_FILENAME),
        NAME(HTTP_USER_AGENT), NAME(SERVER_PROTOCOL), NAME(HTTP_ACCEPT_LANGUAGE),
#undef NAME
    };
    for (size_t i = 0; i < PARAM_NAMES; i++) {
        char pair[64];
        snprintf(pair, sizeof pair, "%s=1234", names[i]);
        parse(pair, NULL);
        for (size_t j = 0; j < PARAM_NAMES; j++) {
            assert_string_equal(params.values[j], i == j ? "1234" : "");
            assert_int_equal(params.lens[j], i == j ? 4 : 0);
        }
    }
    for (size_t i = 0; i < PARAM_NAMES; i++) { /* one letter is another one */
        char pair[64];
        for (size_t j = 0; j < strlen(names[i]); j++) {
            snprintf(pair, sizeof pair, "%s=1234", names[i]);
            pair[j]++;
            parse(pair, NULL);
            assert_string_equal(params.values[i], "");
        }
    }
}

static void nothing_is_left_from_the_request_before(void **state)
{
    (void)state;
    parse("SCRIPT_FILENAME=/srv/a.lua", "HTTP_COOKIE=secret", "CONTENT_LENGTH=9", NULL);
    parse("REQUEST_METHOD=GET", NULL);
    assert_string_equal(params.values[PARAM_SCRIPT_FILENAME], "");
    assert_string_equal(params.values[PARAM_HTTP_COOKIE], "");
    assert_int_equal(params.content_length, -1);
    assert_int_equal(params.count, 2);
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
        assert_string_equal(params.values[PARAM_SCRIPT_FILENAME], "/srv/a.lua");
        assert_string_equal(value_of("SCRIPT_FILENAME"), "/srv/a.lua");
    }
    parse("SCRIPT_FILENAME=/srv/proxy:fcgi://x/a.lua?b", NULL);
    assert_string_equal(params.values[PARAM_SCRIPT_FILENAME],
                        "/srv/proxy:fcgi://x/a.lua?b");
    parse("SCRIPT_FILENAME=proxy:fcgi://no-path", NULL);
    assert_string_equal(params.values[PARAM_SCRIPT_FILENAME], "proxy:fcgi://no-path");
}

static void a_missing_document_root_is_derived(void **state)
{
    (void)state;
    parse("SCRIPT_FILENAME=/srv/www/d/a.lua", "SCRIPT_NAME=/d/a.lua", NULL);
    assert_string_equal(params.values[PARAM_DOCUMENT_ROOT], "/srv/www");
    assert_string_equal(value_of("DOCUMENT_ROOT"), "/srv/www");
    parse("SCRIPT_FILENAME=/srv/www/other.lua", "SCRIPT_NAME=/d/a.lua", NULL);
    assert_string_equal(params.values[PARAM_DOCUMENT_ROOT], "");
    parse("SCRIPT_FILENAME=/srv/a.lua", "SCRIPT_NAME=/a.lua", "DOCUMENT_ROOT=/given/",
          NULL);
    assert_string_equal(params.values[PARAM_DOCUMENT_ROOT], "/given");
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
        assert_int_equal(params.content_length, -1);
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
    assert_int_equal(params.count, 501);
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

static void a_copy_needs_the_pairs_no_more(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        parse("SCRIPT_FILENAME=/www/a.lua", "SCRIPT_NAME=/a.lua", "A=1",
              "REQUEST_METHOD=GET", NULL);
        assert_true(params_keep(&params));
        assert_true(params_keep(&params));
        memset(pairs.data, 'x', pairs.len + 1);
        assert_string_equal(value_of("A"), "1");
        assert_string_equal(value_of("FCGI_ROLE"), "RESPONDER");
        assert_string_equal(value_of("DOCUMENT_ROOT"), "/www");
        assert_string_equal(params.values[PARAM_DOCUMENT_ROOT], "/www");
        assert_string_equal(params.values[PARAM_SCRIPT_FILENAME], "/www/a.lua");
        assert_string_equal(params.values[PARAM_REQUEST_METHOD], "GET");
        assert_string_equal(params.values[PARAM_HTTPS], "");
    }
}

#define TEST(f) cmocka_unit_test_teardown(f, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(known_parameters_are_found_and_all_are_kept),
        TEST(every_parameter_that_the_daemon_looks_at_is_found),
        TEST(nothing_is_left_from_the_request_before),
        TEST(apache_decorates_the_script_filename),
        TEST(a_missing_document_root_is_derived),
        TEST(the_clients_proxy_header_is_dropped),
        TEST(a_length_that_is_none_is_unknown),
        TEST(more_parameters_than_usual_fit),
        TEST(parameters_cut_short_are_refused),
        TEST(a_copy_needs_the_pairs_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
