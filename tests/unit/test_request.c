/* A request as a whole, from a peer that is no web server: what is said of it before any
 * script runs, and what is left of the one before. */
#include "request.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/peer_fixture.h"

static struct request *request;
static struct config *config;
static struct fake_peer peer;

static int set_up(void **state)
{
    (void)state;
    config = config_load(NULL, stderr);
    request = request_create();
    return config == NULL || request == NULL;
}

static int tear_down(void **state)
{
    (void)state;
    request_destroy(request);
    config_unref(config);
    fake_peer_clear(&peer);
    return 0;
}

/* Begins with a request of these parameters. */
#define begin(...) begin_with((const char *const[]){__VA_ARGS__, ""})

static void begin_with(const char *const *params)
{
    fake_peer_set(&peer, params);
    assert_true(request_begin(request, &fake_peer_operations, &peer, config));
}

/* `status` and a part of the reason, or 0. */
static void assert_refused(int status, const char *part)
{
    const char *why = "";
    assert_int_equal(request_refuse(request, &why), status);
    assert_non_null(strstr(why, part));
}

static void requests_are_refused_before_a_script_is_looked_for(void **state)
{
    (void)state;
    config->max_post_size = 100;
    begin("REQUEST_METHOD=GET");
    assert_refused(500, "fastcgi_param SCRIPT_FILENAME");
    begin("SCRIPT_FILENAME=/srv/passwd");
    assert_refused(404, "AllowedExtensions");
    begin("SCRIPT_FILENAME=.lua");
    assert_refused(404, "AllowedExtensions");
    begin("SCRIPT_FILENAME=/srv/a.lua", "CONTENT_LENGTH=101");
    assert_refused(413, "MaxPostSize");
    begin("SCRIPT_FILENAME=/srv/a.lua", "CONTENT_LENGTH=100");
    assert_refused(0, "");
    config->max_post_size = 0;
    begin("SCRIPT_FILENAME=/srv/a.lua", "CONTENT_LENGTH=99999999999999999999");
    assert_refused(0, "");
}

/* Begins with a request of so many parameters, FCGI_ROLE among them. */
static void begin_with_many(int count)
{
    fake_peer_set(&peer, (const char *const[]){"SCRIPT_FILENAME=/srv/a.lua", ""});
    for (int i = 2; i < count; i++)
        put_parameter(&peer.pairs, "A=1");
    assert_true(request_begin(request, &fake_peer_operations, &peer, config));
}

static void more_than_a_thousand_parameters_are_refused(void **state)
{
    (void)state;
    begin_with_many(1000);
    assert_refused(0, "");
    begin_with_many(1001);
    assert_refused(431, "more than 1000");
}

static void parameters_cut_short_cannot_be_answered(void **state)
{
    (void)state;
    fake_peer_set(&peer, (const char *const[]){"SCRIPT_FILENAME=/srv/a.lua", ""});
    peer.pairs.len--;
    assert_false(request_begin(request, &fake_peer_operations, &peer, config));
    assert_true(request_is_cut(request));
    assert_int_equal(peer.writes, 0);
}

static void nothing_is_left_from_the_request_before(void **state)
{
    (void)state;
    begin("SCRIPT_FILENAME=/srv/a.lua", "HTTP_COOKIE=secret", "CONTENT_LENGTH=9");
    peer.body = "body";
    char data[16];
    assert_int_equal(request_read(request, data, sizeof data), 4);
    assert_int_equal(request_body_left(request), 5);
    assert_true(request_set_status(request, "404", 3));
    assert_int_equal(request_set_header(request, "X-A", 3, "1", 1), HEADERS_OK);
    assert_true(buffer_puts(request_session_cookie(request), "key"));
    request_set_buffering(request, false);
    peer.out_status = IO_ABORTED;
    assert_true(request_send(request, "text", 4));
    assert_true(request_is_gone(request) && request_is_cut(request));
    assert_true(request_has_sent(request) && request_head_sent(request));

    peer.out_status = IO_OK;
    begin("REQUEST_METHOD=GET");
    size_t len;
    assert_string_equal(request_param(request, PARAM_HTTP_COOKIE), "");
    assert_int_equal(request_body_left(request), -1);
    assert_string_equal(request_status(request), "200 OK");
    assert_null(request_header(request, "X-A", &len));
    assert_int_equal(request_session_cookie(request)->len, 0);
    assert_true(request_is_buffering(request));
    assert_false(request_is_gone(request) || request_is_cut(request));
    assert_false(request_has_sent(request) || request_head_sent(request));
    request_finish(request);
    assert_sent(&peer, "Status: 200 OK\r\nContent-Type: text/html\r\n"
                       "X-Powered-By: luafcgid2\r\nContent-Length: 0\r\n\r\n");
}

static void a_page_for_a_failure_names_the_script_as_visitors_do(void **state)
{
    (void)state;
    begin("SCRIPT_FILENAME=/srv/a.lua");
    request_fail(request, 404, NULL);
    assert_true(buffer_append(request_buffer(request), "", 1));
    assert_non_null(strstr(request_buffer(request)->data, "<code>/srv/a.lua</code>"));
    begin("SCRIPT_FILENAME=/srv/a.lua", "SCRIPT_NAME=/a.lua");
    request_fail(request, 404, NULL);
    assert_true(buffer_append(request_buffer(request), "", 1));
    assert_non_null(strstr(request_buffer(request)->data, "<code>/a.lua</code>"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_refused_before_a_script_is_looked_for),
        TEST(more_than_a_thousand_parameters_are_refused),
        TEST(parameters_cut_short_cannot_be_answered),
        TEST(nothing_is_left_from_the_request_before),
        TEST(a_page_for_a_failure_names_the_script_as_visitors_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
