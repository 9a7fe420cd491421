/* The response to a request: when what of it goes out, and how it ends. */
#include "request/response.h"

#include "http/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/peer_fixture.h"

#define HEAD "Status: 200 OK\r\nContent-Type: text/html\r\n"

static struct config *config;
static struct fake_peer fake;
static struct peer peer;
static struct response response;

static void begin(bool of_head)
{
    fake_peer_clear(&fake);
    peer = (struct peer){.operations = &fake_peer_operations, .context = &fake};
    assert_true(response_begin(&response, &peer, config, of_head));
}

static int set_up(void **state)
{
    (void)state;
    config = config_load(NULL, stderr);
    assert_non_null(config);
    config->default_headers[0] = '\0';
    begin(false);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    response_free(&response);
    config_unref(config);
    fake_peer_clear(&fake);
    return 0;
}

static void send_text(const char *text)
{
    assert_true(response_send(&response, text, strlen(text)));
}

static void a_buffered_response_goes_out_at_once(void **state)
{
    (void)state;
    config->write_timeout = 1234;
    send_text("one ");
    send_text("two");
    assert_int_equal(fake.writes, 0);
    response_finish(&response);
    assert_int_equal(fake.writes, 1);
    assert_int_equal(fake.patience, 1234);
    assert_true(fake.ended && !peer.cut);
    assert_sent(&fake, HEAD "Content-Length: 7\r\n\r\none two");
}

static void a_flush_sends_the_head_and_what_there_is(void **state)
{
    (void)state;
    config->write_timeout = 0;
    send_text("one ");
    assert_true(response_flush(&response));
    assert_sent(&fake, HEAD "\r\none ");
    assert_int_equal(fake.patience, -1);
    assert_true(response_flush(&response)); /* there is nothing more */
    assert_int_equal(fake.writes, 1);
    send_text("two");
    assert_int_equal(fake.writes, 1);
    response_finish(&response);
    assert_sent(&fake, HEAD "\r\none two");
    assert_true(fake.ended && !peer.cut);
}

static void without_buffering_each_part_goes_out(void **state)
{
    (void)state;
    response.buffering = false;
    send_text("one ");
    assert_sent(&fake, HEAD "\r\none ");
    send_text("two");
    assert_int_equal(fake.writes, 2);
}

static void a_response_that_streams_does_not_pile_up(void **state)
{
    (void)state;
    static char large[64 * 1024];
    assert_true(response_send(&response, large, sizeof large));
    assert_int_equal(fake.writes, 0);
    assert_true(response_flush(&response));
    assert_int_equal(fake.writes, 1);
    assert_true(response_send(&response, large, sizeof large));
    assert_int_equal(fake.writes, 2);
}

static void a_reset_takes_back_what_did_not_go_out(void **state)
{
    (void)state;
    send_text("gone");
    assert_true(head_set_status(&response.head, "404", 3));
    response_reset(&response, false);
    assert_int_equal(response.body.len, 0);
    assert_string_equal(response.head.status, "404 Not Found");
    response_reset(&response, true);
    assert_string_equal(response.head.status, "200 OK");
    assert_true(response_flush(&response));
    assert_true(head_set_status(&response.head, "404", 3));
    response_reset(&response, true); /* too late */
    assert_string_equal(response.head.status, "404 Not Found");
}

static void no_body_goes_out_where_there_is_none(void **state)
{
    (void)state;
    begin(true);
    send_text("text");
    response_finish(&response);
    assert_sent(&fake, HEAD "Content-Length: 4\r\n\r\n");
    begin(false);
    assert_true(head_set_status(&response.head, "204", 3));
    send_text("text");
    response_finish(&response);
    assert_sent(&fake, "Status: 204 No Content\r\nContent-Type: text/html\r\n\r\n");
}

static void a_failure_takes_the_place_of_what_did_not_go_out(void **state)
{
    (void)state;
    send_text("gone");
    assert_int_equal(head_set(&response.head, "X-A", 3, "1", 1), HEADERS_OK);
    response_fail(&response, 500, "/a.lua", &(struct page_detail){.message = "why"});
    response_finish(&response);
    put(&fake.out, "", 1);
    const char *sent = (const char *)fake.out.data;
    static const char head[] = "Status: 500 Internal Server Error\r\n"
                               "Content-Type: text/html; charset=utf-8\r\n"
                               "Content-Length: ";
    assert_memory_equal(sent, head, sizeof head - 1);
    assert_non_null(strstr(sent, ">why</pre>"));
    assert_null(strstr(sent, "gone"));
    assert_true(fake.ended && !peer.cut);
}

static void a_failure_after_the_head_cuts_the_response_off(void **state)
{
    (void)state;
    send_text("half");
    assert_true(response_flush(&response));
    send_text(" of it");
    response_fail(&response, 500, "/a.lua", NULL);
    response_finish(&response);
    assert_sent(&fake, HEAD "\r\nhalf");
    assert_true(!fake.ended && peer.cut);
}

static void to_a_peer_that_is_gone_nothing_is_sent(void **state)
{
    (void)state;
    static const enum io_status failures[] = {IO_ABORTED, IO_TIMEOUT};
    for (size_t i = 0; i < 2; i++) {
        begin(false);
        fake.out_status = failures[i];
        send_text("text");
        assert_true(response_flush(&response));
        assert_true(peer.gone && peer.cut);
        assert_int_equal(fake.writes, 1);
        send_text("more");
        assert_int_equal(response.body.len, 0);
        response_finish(&response);
        assert_int_equal(fake.writes, 1);
    }
}

static void what_waits_keeps_no_memory_of_what_is_sent(void **state)
{
    (void)state;
    begin(false);
    send_text("kept");
    response_rest(&response);
    assert_int_equal(response.body.len, 4);
    assert_true(response_flush(&response));
    response_rest(&response);
    assert_int_equal(response.body.cap, 0);
    send_text("more");
    response_finish(&response);
    assert_non_null(
        strstr((put(&fake.out, "", 1), (const char *)fake.out.data), "\r\n\r\nkeptmore"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_buffered_response_goes_out_at_once),
        TEST(a_flush_sends_the_head_and_what_there_is),
        TEST(without_buffering_each_part_goes_out),
        TEST(a_response_that_streams_does_not_pile_up),
        TEST(a_reset_takes_back_what_did_not_go_out),
        TEST(no_body_goes_out_where_there_is_none),
        TEST(a_failure_takes_the_place_of_what_did_not_go_out),
        TEST(a_failure_after_the_head_cuts_the_response_off),
        TEST(to_a_peer_that_is_gone_nothing_is_sent),
        TEST(what_waits_keeps_no_memory_of_what_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
