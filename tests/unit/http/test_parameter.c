/* The parameters of a header field's value (RFC 9110 section 5.6.6). */
#include "http/parameter.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* All of them, as "first[name|value]" one after the other, and "!" when malformed. */
static const char *read_all(const char *field)
{
    static char text[512];
    char value[256];
    size_t first;
    struct parameters ps = parameters_of(field, strlen(field), &first);
    struct parameter p;
    int len = snprintf(text, sizeof text, "%.*s", (int)first, field);
    while (parameter_next(&ps, &p)) {
        size_t n = parameter_copy(&p, value);
        len += snprintf(text + len, sizeof text - (size_t)len, "[%.*s|%.*s]",
                        (int)p.name_len, p.name, (int)n, value);
    }
    assert_false(parameter_next(&ps, &p));
    snprintf(text + len, sizeof text - (size_t)len, "%s", ps.malformed ? "!" : "");
    return text;
}

static const struct row {
    const char *field, *expected;
} rows[] = {
    {"", ""},
    {"text/html", "text/html"},
    {"text/html ; charset=utf-8", "text/html[charset|utf-8]"},
    {"a;b=1;c=2", "a[b|1][c|2]"},
    {"a ; b = 1 ; c=\"2\" ", "a[b|1][c|2]"},
    {"a;b=\"x; y=z\";c=d", "a[b|x; y=z][c|d]"},
    {"a;b=\"\\\"q\\\"\"", "a[b|\"q\"]"},
    {"a;b=\"C:\\dir\\\\x\"", "a[b|C:\\dir\\x]"},
    {"a;b=", "a[b|]"},
    {"a;b=\"\"", "a[b|]"},
    {"a;", "a"},
    {"a;;b=1", "a[b|1]"},
    {"a;filename*=UTF-8''x", "a[filename*|UTF-8''x]"},
    {"a;b", "a!"},
    {"a;=b", "a!"},
    {"a;b=\"open", "a!"},
    {"a;b=\"x\"y", "a[b|x]!"},
    {"a;b c=d", "a!"},
};

static void parameters_are_read_one_by_one(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_string_equal(read_all(rows[i].field), rows[i].expected);
}

static void names_have_no_case(void **state)
{
    (void)state;
    struct parameter p = {.name = "BoundAry", .name_len = 8};
    assert_true(parameter_is(&p, "boundary"));
    assert_false(parameter_is(&p, "bound"));
    assert_false(parameter_is(&p, "boundarx"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parameters_are_read_one_by_one),
        cmocka_unit_test(names_have_no_case),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
