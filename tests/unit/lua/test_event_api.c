/* Server-sent events, on a request that no web server sent. */
#include "lua/event_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

/* What has gone out to the web server, until the next call of assert_page. */
static const char *sent(void)
{
    put(&peer.out, "", 1);
    peer.out.len--;
    return (const char *)peer.out.data;
}

/* All that goes out for the calls, after the head. */
static void assert_stream(const char *calls, const char *text)
{
    fake_peer_clear(&peer);
    assert_page(calls, "");
    const char *body = strstr(sent(), "\r\n\r\n");
    assert_non_null(body);
    if (strcmp(body + 4, text) != 0)
        fail_msg("%s\nsends \"%s\", not \"%s\"", calls, body + 4, text);
}

static void assert_head_has(const char *calls, const char *line, bool has)
{
    fake_peer_clear(&peer);
    assert_page(calls, "");
    if ((strstr(sent(), line) != NULL) != has)
        fail_msg("%s\nsends %s", calls, sent());
}

static void each_line_of_the_data_is_a_field(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"Event('one')", "data: one\n\n"},
        {"Event('')", "data: \n\n"},
        {"Event(12)", "data: 12\n\n"},
        {"Event('a\\nb')", "data: a\ndata: b\n\n"},
        {"Event('a\\rb')", "data: a\ndata: b\n\n"},
        {"Event('a\\r\\nb')", "data: a\ndata: b\n\n"},
        {"Event('a\\n\\rb')", "data: a\ndata: \ndata: b\n\n"},
        {"Event('a\\n')", "data: a\ndata: \n\n"},
        {"Event('\\r\\n')", "data: \ndata: \n\n"},
        {"Event('a\\r')", "data: a\ndata: \n\n"},
        {"Event(' :x')", "data:  :x\n\n"},
        {"con:event('one') con:event('two')", "data: one\n\ndata: two\n\n"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_stream(rows[i][0], rows[i][1]);
}

static void options_are_fields_before_the_data(void **state)
{
    (void)state;
    assert_stream("Event('x', {event = 'tick', id = 7, retry = 2000})",
                  "event: tick\nid: 7\nretry: 2000\ndata: x\n\n");
    assert_stream("con:event('x', {retry = 1e3})", "retry: 1000\ndata: x\n\n");
    assert_stream("Event(nil, {id = ''})", "id: \n\n");
    assert_stream("Event('x', {})", "data: x\n\n");
}

static void without_anything_it_is_a_comment(void **state)
{
    (void)state;
    assert_stream("Event()", ":\n\n");
    assert_stream("con:event(nil, {})", ":\n\n");
}

static void an_error_names_what_is_wrong_and_sends_nothing(void **state)
{
    (void)state;
    assert_page_fails("Event('x', {event = 'a\\nb'})", "event: a string without CR");
    assert_page_fails("Event('x', {event = 'a', id = 'a\\rb'})",
                      "id: a string without CR");
    assert_page_fails("Event('x', {id = 'a\\0b'})", "id: a string without CR");
    assert_page_fails("Event('x', {id = {}})", "id: a string without CR");
    assert_page_fails("Event('x', {retry = 1.5})", "retry: a whole number");
    assert_page_fails("Event('x', {retry = -1})", "retry: a whole number");
    assert_page_fails("Event('x', {retry = 'soon'})", "retry: a whole number");
    assert_page_fails("Event('x', 'tick')", "bad argument #2 to 'Event'");
    assert_page_fails("Event({})", "bad argument #1 to 'Event'");
    assert_stream("pcall(Event, 'x', {event = 'a', id = '\\n'}) Event('y')",
                  "data: y\n\n");
}

static void the_first_one_sets_the_headers_of_a_stream(void **state)
{
    (void)state;
    assert_head_has("Event('x')", "Content-Type: text/event-stream\r\n", true);
    assert_head_has("Event('x')", "Cache-Control: no-store\r\n", true);
    assert_head_has("Event('x')", "X-Accel-Buffering: no\r\n", true);
    assert_head_has("Event('x')", "Content-Length", false);
}

static void headers_that_the_script_has_set_stay(void **state)
{
    (void)state;
    assert_head_has("Header('Cache-Control', 'no-cache') Event('x')",
                    "Cache-Control: no-cache\r\n", true);
    assert_head_has("Header('X-Accel-Buffering', 'yes') Event('x')", "Buffering: no",
                    false);
    assert_head_has("RespContentType('text/event-stream;charset=utf-8') Event('x')",
                    "Content-Type: text/event-stream;charset=utf-8\r\n", true);
}

static void a_type_that_went_out_before_is_warned_about_once(void **state)
{
    (void)state;
    assert_stream("RespContentType('text/event-stream') Flush() Event('x')",
                  "data: x\n\n");
    assert_null(strstr(logged(), "warning"));
    assert_stream("Flush() Event('x') Event('y')", "data: x\n\ndata: y\n\n");
    const char *first = strstr(logged(), "the first event comes after a flush");
    assert_non_null(first);
    assert_null(strstr(first + 1, "the first event comes"));
}

static void it_returns_whether_the_client_is_there(void **state)
{
    (void)state;
    assert_stream("Event(tostring(Event('x')))", "data: x\n\ndata: true\n\n");
    peer.out_status = IO_ABORTED;
    assert_page("Log(Event('x'), Event())", "");
    assert_logged("info: falsefalse\n");
}

/* How often `part` is in what went out. */
static int count_sent(const char *part)
{
    int count = 0;
    for (const char *s = sent(); (s = strstr(s, part)) != NULL; s += strlen(part))
        count++;
    return count;
}

static void a_stream_that_waits_sends_comments(void **state)
{
    (void)state;
    config->event_keep_alive = 10;
    fake_peer_clear(&peer);
    assert_page("Event('x') Sleep(0.1)", "");
    assert_true(count_sent("\n\n:") > 0);
    assert_int_equal(peer.out.len,
                     strstr(sent(), "\n\n:") + 2 - sent() + 3 * count_sent(":\n\n"));
    fake_peer_clear(&peer);
    assert_page("Event('x') for i = 1, 20 do Sleep(0.005) end",
                ""); /* short waits, too */
    assert_true(count_sent(":\n\n") > 0);
}

static void only_a_stream_that_waits_between_events_sends_comments(void **state)
{
    (void)state;
    config->event_keep_alive = 10;
    assert_page("Sleep(0.05) return 'x'", "x");
    assert_page("Event('x') Send('half') Sleep(0.05) Send('whole')", "halfwhole");
    config->event_keep_alive = 0;
    fake_peer_clear(&peer);
    assert_page("Event('x') Sleep(0.05)", "");
    assert_int_equal(count_sent(":\n\n"), 0);
}

static void a_comment_shows_that_the_client_has_gone(void **state)
{
    (void)state;
    config->event_keep_alive = 10;
    assert_page("Event('x') local f = io.popen('sleep 1') Log('then: ', (Wait(f))) "
                "Log(Event('y'))",
                "");
    assert_logged("then: r");
    peer.out_status = IO_ABORTED;
    assert_page("Event('x') Sleep(0.05) Log('gone: ', not Event('y'))", "");
    assert_logged("gone: true");
}

static void data_of_many_lines_meets_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 8 << 20;
    assert_page_fails("Event(('\\n'):rep(4 << 20))", "memory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_line_of_the_data_is_a_field),
        TEST(options_are_fields_before_the_data),
        TEST(without_anything_it_is_a_comment),
        TEST(an_error_names_what_is_wrong_and_sends_nothing),
        TEST(the_first_one_sets_the_headers_of_a_stream),
        TEST(headers_that_the_script_has_set_stay),
        TEST(a_type_that_went_out_before_is_warned_about_once),
        TEST(it_returns_whether_the_client_is_there),
        TEST(a_stream_that_waits_sends_comments),
        TEST(only_a_stream_that_waits_between_events_sends_comments),
        TEST(a_comment_shows_that_the_client_has_gone),
        TEST(data_of_many_lines_meets_the_memory_limit),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
