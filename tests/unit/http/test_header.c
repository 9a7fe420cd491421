/* The header table of a response. */
#include "http/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static enum headers_result set(struct headers *h, const char *name, const char *value)
{
    return headers_set(h, name, strlen(name), value, strlen(value));
}

/* What the table writes, to be freed. */
static char *text_of(const struct headers *h)
{
    struct buffer out = {0};
    assert_true(headers_write(h, &out));
    assert_true(buffer_append(&out, "", 1));
    return out.data;
}

static void assert_text(const struct headers *h, const char *expected)
{
    char *text = text_of(h);
    assert_string_equal(text, expected);
    free(text);
}

static void names_are_compared_without_case_and_the_last_set_wins(void **state)
{
    (void)state;
    struct headers h = {0};
    assert_int_equal(set(&h, "X-One", "1"), HEADERS_OK);
    assert_int_equal(set(&h, "X-Two", "2"), HEADERS_OK);
    assert_int_equal(set(&h, "x-oNE", "one, and longer than before"), HEADERS_OK);
    assert_text(&h, "X-One: one, and longer than before\r\nX-Two: 2\r\n");
    assert_int_equal(set(&h, "X-ONE", ""), HEADERS_OK);
    assert_text(&h, "X-One: \r\nX-Two: 2\r\n");
    headers_free(&h);
}

static void some_fields_repeat(void **state)
{
    (void)state;
    static const char *const names[] = {"Set-Cookie", "link", "WWW-Authenticate", "VARY"};
    for (size_t i = 0; i < 4; i++) {
        struct headers h = {0};
        char expected[80];
        assert_int_equal(set(&h, names[i], "a"), HEADERS_OK);
        assert_int_equal(set(&h, names[i], "b"), HEADERS_OK);
        snprintf(expected, sizeof expected, "%s: a\r\n%s: b\r\n", names[i], names[i]);
        assert_text(&h, expected);
        headers_remove(&h, names[i]);
        assert_text(&h, "");
        headers_free(&h);
    }
}

static void bad_names_and_values_are_refused_and_change_nothing(void **state)
{
    (void)state;
    struct headers h = {0};
    assert_int_equal(set(&h, "X", "kept"), HEADERS_OK);
    static const char *const names[] = {"",      "a b",      "a:",  "a\r", "a\n",
                                        "a\x01", "\xc3\xa4", "a\"", "(a)"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(set(&h, names[i], "v"), HEADERS_BAD_NAME);
    assert_int_equal(headers_set(&h, "a\0b", 3, "v", 1), HEADERS_BAD_NAME);
    assert_int_equal(set(&h, "X", "a\r\nSet-Cookie: b"), HEADERS_BAD_VALUE);
    assert_int_equal(set(&h, "X", "a\nb"), HEADERS_BAD_VALUE);
    assert_int_equal(set(&h, "X", "\r"), HEADERS_BAD_VALUE);
    assert_int_equal(headers_set(&h, "X", 1, "a\0b", 3), HEADERS_BAD_VALUE);
    assert_text(&h, "X: kept\r\n");
    headers_free(&h);
}

static void white_space_around_a_value_is_dropped(void **state)
{
    (void)state;
    struct headers h = {0};
    assert_int_equal(set(&h, "A", " \t b c\t "), HEADERS_OK);
    assert_int_equal(set(&h, "B", "  "), HEADERS_OK);
    assert_text(&h, "A: b c\r\nB: \r\n");
    headers_free(&h);
}

static void lines_are_taken_with_any_line_end(void **state)
{
    (void)state;
    struct headers h = {0};
    const char *text = "A: 1\r\nB:2\n\r\nC :3";
    assert_int_equal(headers_set_lines(&h, text, strlen(text)), HEADERS_BAD_NAME);
    assert_text(&h, "A: 1\r\nB: 2\r\n");
    text = "A: x:y\r\n\nD: 4";
    assert_int_equal(headers_set_lines(&h, text, strlen(text)), HEADERS_OK);
    assert_text(&h, "A: x:y\r\nB: 2\r\nD: 4\r\n");
    assert_int_equal(headers_set_line(&h, "no colon", 8), HEADERS_BAD_NAME);
    assert_int_equal(headers_set_line(&h, "", 0), HEADERS_BAD_NAME);
    headers_free(&h);
}

static void a_field_can_be_read(void **state)
{
    (void)state;
    struct headers h = {0};
    size_t len;
    set(&h, "Content-Type", "text/plain");
    const char *value = headers_get(&h, "content-type", &len);
    assert_int_equal(len, 10);
    assert_memory_equal(value, "text/plain", 10);
    assert_null(headers_get(&h, "Content-Typ", &len));
    headers_free(&h);
}

static void a_copy_is_independent(void **state)
{
    (void)state;
    struct headers from = {0}, h = {0};
    set(&from, "A", "1");
    set(&from, "B", "2");
    set(&h, "Z", "old");
    assert_true(headers_reset(&h, &from));
    set(&h, "A", "changed");
    set(&h, "C", "3");
    assert_text(&from, "A: 1\r\nB: 2\r\n");
    assert_text(&h, "A: changed\r\nB: 2\r\nC: 3\r\n");
    assert_true(headers_reset(&h, NULL));
    assert_text(&h, "");
    headers_free(&from);
    headers_free(&h);
}

static void a_loop_that_sets_one_field_does_not_fill_the_table(void **state)
{
    (void)state;
    struct headers h = {0};
    char value[300];
    for (int i = 0; i < 100000; i++) {
        int len = snprintf(value, sizeof value, "%*d", 1 + i % 280, i);
        assert_int_equal(headers_set(&h, "X", 1, value, (size_t)len), HEADERS_OK);
    }
    assert_int_equal(h.count, 1);
    assert_true(h.bytes.cap <= 2 * HEADERS_MAX_BYTES);
    headers_free(&h);
}

static void the_whole_is_bounded(void **state)
{
    (void)state;
    struct headers h = {0};
    char *big = malloc(HEADERS_MAX_BYTES + 1);
    memset(big, 'x', HEADERS_MAX_BYTES + 1);
    assert_int_equal(headers_set(&h, "X", 1, big, HEADERS_MAX_BYTES), HEADERS_TOO_LARGE);
    assert_int_equal(headers_set(&h, "X", 1, big, HEADERS_MAX_BYTES - 1), HEADERS_OK);
    assert_int_equal(set(&h, "Y", "1"), HEADERS_TOO_LARGE);
    headers_remove(&h, "X");
    assert_int_equal(set(&h, "Y", "1"), HEADERS_OK);
    assert_text(&h, "Y: 1\r\n");
    free(big);
    headers_free(&h);
}

static void fields_are_bounded_in_number(void **state)
{
    (void)state;
    struct headers h = {0};
    for (int i = 0; i < HEADERS_MAX_COUNT; i++)
        assert_int_equal(set(&h, "Set-Cookie", "a"), HEADERS_OK);
    assert_int_equal(set(&h, "Set-Cookie", "a"), HEADERS_TOO_LARGE);
    assert_int_equal(set(&h, "X-One", "a"), HEADERS_TOO_LARGE);
    headers_remove(&h, "Set-Cookie");
    assert_int_equal(set(&h, "X-One", "a"), HEADERS_OK);
    headers_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_compared_without_case_and_the_last_set_wins),
        cmocka_unit_test(some_fields_repeat),
        cmocka_unit_test(bad_names_and_values_are_refused_and_change_nothing),
        cmocka_unit_test(white_space_around_a_value_is_dropped),
        cmocka_unit_test(lines_are_taken_with_any_line_end),
        cmocka_unit_test(a_field_can_be_read),
        cmocka_unit_test(a_copy_is_independent),
        cmocka_unit_test(a_loop_that_sets_one_field_does_not_fill_the_table),
        cmocka_unit_test(the_whole_is_bounded),
        cmocka_unit_test(fields_are_bounded_in_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
