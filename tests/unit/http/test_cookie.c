/* The iterator over the Cookie header: names and values as RFC 6265 section 4.2.1 has
 * them, and what browsers and others send instead. */
#include "http/cookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* All cookies of the header, as "[name|value]" one after the other. */
static const char *cookies_of(const char *header)
{
    static char text[512];
    size_t len = 0;
    struct cookie c;
    text[0] = '\0';
    while (cookie_next(&header, &c)) {
        assert_true(len + c.name_len + c.value_len + 4 < sizeof text);
        len += (size_t)snprintf(text + len, sizeof text - len, "[%.*s|%.*s]",
                                (int)c.name_len, c.name, (int)c.value_len, c.value);
    }
    assert_false(cookie_next(&header, &c)); /* the end is the end */
    return text;
}

struct row {
    const char *header, *cookies;
};

static void assert_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(cookies_of(rows[i].header), rows[i].cookies) != 0)
            fail_msg("\"%s\" gives %s, not %s", rows[i].header,
                     cookies_of(rows[i].header), rows[i].cookies);
}

#define ROWS(rows) assert_rows(rows, sizeof(rows) / sizeof *(rows))

static void pairs_are_separated_by_semicolons(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SID=31d4d96e407aad42", "[SID|31d4d96e407aad42]"},
        {"SID=31d4d96e407aad42; lang=en-US", "[SID|31d4d96e407aad42][lang|en-US]"},
        {"a=1;b=2;c=3", "[a|1][b|2][c|3]"},
        {"a=1;   b=2;\tc=3", "[a|1][b|2][c|3]"},
        {"; ;;a=1;; ;b=2;", "[a|1][b|2]"},
        {"a=1; a=2", "[a|1][a|2]"}, /* which one counts is the caller's choice */
    };
    ROWS(rows);
}

static void a_header_without_cookies_has_none(void **state)
{
    (void)state;
    static const struct row rows[] = {{"", ""}, {"  \t ", ""}, {";", ""}, {" ; ;; ", ""}};
    ROWS(rows);
}

static void the_first_equals_sign_ends_the_name(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a=b=c", "[a|b=c]"},
        {"a==", "[a|=]"},
        {"token=eyJ0eXAi==; b=1", "[token|eyJ0eXAi==][b|1]"},
    };
    ROWS(rows);
}

static void a_name_without_value_has_the_empty_one(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a=", "[a|]"},           {"a", "[a|]"},           {"a; b=1", "[a|][b|1]"},
        {"a=; b=1", "[a|][b|1]"}, {"a=  ; b", "[a|][b|]"},
    };
    ROWS(rows);
}

static void what_has_no_name_is_left_out(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"=1", ""},
        {"=1; b=2", "[b|2]"},
        {"a=1; =; c=3", "[a|1][c|3]"},
        {"  =x;a=1", "[a|1]"},
    };
    ROWS(rows);
}

static void spaces_around_names_and_values_are_dropped_and_those_inside_kept(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"  a = 1 ;\tb\t=\t2\t", "[a|1][b|2]"},
        {"a b=c d; e=f", "[a b|c d][e|f]"},
    };
    ROWS(rows);
}

static void quotes_around_a_value_are_dropped(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a=\"1\"", "[a|1]"},
        {"a=\"\"; b=\"2 3\"", "[a|][b|2 3]"},
        {"a = \"1\" ; b=2", "[a|1][b|2]"},
        {"a=\"1", "[a|\"1]"}, /* one is a character like any other */
        {"a=1\"", "[a|1\"]"},
        {"a=\"", "[a|\"]"},
    };
    ROWS(rows);
}

static void bytes_of_every_kind_stay_as_they_are(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a=%3B%20; b=1+2", "[a|%3B%20][b|1+2]"},
        {"name=Zo\xc3\xab; x=\xff\x01", "[name|Zo\xc3\xab][x|\xff\x01]"},
        {"a=&<>\\/?[]{}:@()", "[a|&<>\\/?[]{}:@()]"},
    };
    ROWS(rows);
}

static void only_semicolons_separate(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"a=1; b=2;c=3,d=4", "[a|1][b|2][c|3,d=4]"},
        {"a=\"x y\"; b=\"q;r,s\"; c=\"", "[a|x y][b|\"q][r,s\"|][c|\"]"},
        {"a=\"1,2\";b=\"\";c=x\"y\"", "[a|1,2][b|][c|x\"y\"]"},
        {"flag; a=", "[flag|][a|]"},
        {" a = b ; =x;; c=d=e ", "[a|b][c|d=e]"},
        {",; a=1", "[,|][a|1]"},
    };
    ROWS(rows);
}

/* Names and values lie in the header's text; nothing behind a cookie is looked at for it.
 */
static void the_header_is_borrowed(void **state)
{
    (void)state;
    const char *header = "one=1; two=\"2\"", *at = header;
    struct cookie c;
    assert_true(cookie_next(&at, &c));
    assert_ptr_equal(c.name, header);
    assert_ptr_equal(c.value, header + 4);
    assert_true(at >= header + 5 && at <= header + 7);
    assert_true(cookie_next(&at, &c));
    assert_ptr_equal(c.name, header + 7);
    assert_ptr_equal(c.value, header + 12);
    assert_ptr_equal(at, header + strlen(header));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_separated_by_semicolons),
        cmocka_unit_test(a_header_without_cookies_has_none),
        cmocka_unit_test(the_first_equals_sign_ends_the_name),
        cmocka_unit_test(a_name_without_value_has_the_empty_one),
        cmocka_unit_test(what_has_no_name_is_left_out),
        cmocka_unit_test(
            spaces_around_names_and_values_are_dropped_and_those_inside_kept),
        cmocka_unit_test(quotes_around_a_value_are_dropped),
        cmocka_unit_test(bytes_of_every_kind_stay_as_they_are),
        cmocka_unit_test(only_semicolons_separate),
        cmocka_unit_test(the_header_is_borrowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
