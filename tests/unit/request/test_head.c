/* The head of a response: its status, its headers, and how they are written. */
#include "request/head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DEFAULTS "Content-Type: text/html\r\nX-Powered-By: luafcgid2\r\n"

static struct head head;
static struct config *config;

static int set_up(void **state)
{
    (void)state;
    config = config_load(NULL, stderr);
    return config == NULL || !head_reset(&head, config);
}

static int tear_down(void **state)
{
    (void)state;
    head_free(&head);
    config_unref(config);
    return 0;
}

static void set(const char *name, const char *value)
{
    assert_int_equal(head_set(&head, name, strlen(name), value, strlen(value)),
                     HEADERS_OK);
}

static void assert_writes(bool of_head, int64_t length, const char *text)
{
    struct buffer out = {0};
    assert_true(head_write(&head, of_head, length, &out));
    if (out.len != strlen(text) || memcmp(out.data, text, out.len) != 0)
        fail_msg("%.*s\nis not\n%s", (int)out.len, out.data, text);
    buffer_free(&out);
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
        assert_true(head_set_status(&head, good[i].given, strlen(good[i].given)));
        assert_string_equal(head.status, good[i].kept);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(head_set_status(&head, bad[i], strlen(bad[i])));
    assert_false(head_set_status(&head, "404 a\0b", 7));
    assert_string_equal(head.status, "599 Unassigned");
}

static void a_header_named_status_is_the_status(void **state)
{
    (void)state;
    set("status", " \t410");
    assert_string_equal(head.status, "410 Gone");
    assert_int_equal(head_set(&head, "Status", 6, "none", 4), HEADERS_BAD_VALUE);
    assert_int_equal(head_set_lines(&head, "X-A: 1\nStatus: 404\nX-B: 2\n", 26),
                     HEADERS_OK);
    assert_writes(false, 0,
                  "Status: 404 Not Found\r\n" DEFAULTS
                  "X-A: 1\r\nX-B: 2\r\nContent-Length: 0\r\n\r\n");
}

static void replaced_headers_leave_the_content_type(void **state)
{
    (void)state;
    set("X-A", "1");
    assert_int_equal(head_replace(&head, "X-B: 2", 6), HEADERS_OK);
    assert_writes(false, -1,
                  "Status: 200 OK\r\nContent-Type: text/html\r\nX-B: 2\r\n\r\n");
    assert_int_equal(head_replace(&head, "Content-Type: a/b", 17), HEADERS_OK);
    assert_writes(false, -1, "Status: 200 OK\r\nContent-Type: a/b\r\n\r\n");
}

static void headers_that_cannot_be_replaced_stay(void **state)
{
    (void)state;
    set("X-A", "1");
    assert_int_equal(head_replace(&head, "Status: 404\nX-B: 2\nno header", 29),
                     HEADERS_BAD_NAME);
    assert_int_equal(head_replace(&head, "X-B: 2\nStatus: none", 19), HEADERS_BAD_VALUE);
    assert_writes(false, -1, "Status: 200 OK\r\n" DEFAULTS "X-A: 1\r\n\r\n");
}

static void a_reset_brings_the_defaults_back(void **state)
{
    (void)state;
    set("X-A", "1");
    set("Status", "404");
    set("Content-Type", "a/b");
    assert_true(buffer_puts(&head.session_cookie, "key=1"));
    assert_true(head_reset(&head, config));
    assert_writes(false, 3,
                  "Status: 200 OK\r\n" DEFAULTS
                  "Content-Length: 3\r\nSet-Cookie: key=1\r\n\r\n");
}

static void another_configuration_brings_other_defaults(void **state)
{
    (void)state;
    struct config *other = config_load(NULL, stderr);
    assert_non_null(other);
    other->default_headers[0] = '\0';
    assert_true(head_reset(&head, other));
    config_unref(other); /* still used by the head */
    assert_true(head_reset(&head, other));
    assert_writes(false, -1, "Status: 200 OK\r\nContent-Type: text/html\r\n\r\n");
    assert_true(head_reset(&head, config));
    assert_writes(false, -1, "Status: 200 OK\r\n" DEFAULTS "\r\n");
}

static void a_location_alone_redirects(void **state)
{
    (void)state;
    set("Location", "/there");
    assert_writes(false, 0,
                  "Status: 302 Found\r\n" DEFAULTS
                  "Location: /there\r\nContent-Length: 0\r\n\r\n");
    assert_true(head_reset(&head, config));
    set("Location", "/there");
    set("Status", "201");
    assert_writes(false, -1,
                  "Status: 201 Created\r\n" DEFAULTS "Location: /there\r\n\r\n");
}

static void the_length_is_the_bodys(void **state)
{
    (void)state;
    set("Content-Length", "7");
    assert_writes(false, 12345,
                  "Status: 200 OK\r\n" DEFAULTS "Content-Length: 12345\r\n\r\n");
    assert_writes(false, INT64_MAX,
                  "Status: 200 OK\r\n" DEFAULTS
                  "Content-Length: 9223372036854775807\r\n\r\n");
    set("Content-Length", "7"); /* of a body that streams: not known better */
    assert_writes(false, -1, "Status: 200 OK\r\n" DEFAULTS "Content-Length: 7\r\n\r\n");
}

static void for_head_the_script_may_say_how_long_the_body_would_be(void **state)
{
    (void)state;
    set("Content-Length", "7");
    assert_writes(true, 0, "Status: 200 OK\r\n" DEFAULTS "Content-Length: 7\r\n\r\n");
    set("Content-Length", "7x");
    assert_writes(true, 0, "Status: 200 OK\r\n" DEFAULTS "Content-Length: 0\r\n\r\n");
}

static void without_content_there_is_no_length(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"204", "204 No Content"},
                                          {"304", "304 Not Modified"}};
    for (size_t i = 0; i < 2; i++) {
        char text[256];
        assert_true(head_reset(&head, config));
        set("Status", rows[i][0]);
        set("Content-Length", "7");
        assert_true(head_is_without_content(&head));
        snprintf(text, sizeof text, "Status: %s\r\n" DEFAULTS "\r\n", rows[i][1]);
        assert_writes(i == 0, 0, text);
    }
    set("Status", "404");
    assert_false(head_is_without_content(&head));
}

static void a_field_is_the_scripts_own_if_no_default_says_it(void **state)
{
    (void)state;
    assert_false(head_header_is_own(&head, "Content-Type"));
    assert_false(head_header_is_own(&head, "X-None"));
    set("content-type", "text/html");
    assert_false(head_header_is_own(&head, "Content-Type"));
    set("Content-Type", "text/plain");
    assert_true(head_header_is_own(&head, "content-type"));
    set("X-A", "");
    assert_true(head_header_is_own(&head, "X-A"));
    assert_true(head_reset(&head, config));
    assert_false(head_header_is_own(&head, "Content-Type"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_status_is_three_digits_and_a_reason),
        TEST(a_header_named_status_is_the_status),
        TEST(replaced_headers_leave_the_content_type),
        TEST(headers_that_cannot_be_replaced_stay),
        TEST(a_reset_brings_the_defaults_back),
        TEST(another_configuration_brings_other_defaults),
        TEST(a_location_alone_redirects),
        TEST(the_length_is_the_bodys),
        TEST(for_head_the_script_may_say_how_long_the_body_would_be),
        TEST(without_content_there_is_no_length),
        TEST(a_field_is_the_scripts_own_if_no_default_says_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
