/* Escaping for HTML. */
#include "http/html.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_escaped(const char *text, size_t len, const char *expected)
{
    struct buffer out = {0};
    assert_true(buffer_puts(&out, "before "));
    assert_true(html_escape(&out, text, len));
    assert_int_equal(out.len, 7 + strlen(expected));
    assert_memory_equal(out.data + 7, expected, strlen(expected));
    buffer_free(&out);
}

static void text_is_escaped_for_html(void **state)
{
    (void)state;
    assert_escaped("<a href=\"x\">&'</a>", 18,
                   "&lt;a href=&quot;x&quot;&gt;&amp;&#39;&lt;/a&gt;");
    assert_escaped("<<", 2, "&lt;&lt;");
    assert_escaped("a & b", 5, "a &amp; b");
    assert_escaped("&amp;", 5, "&amp;amp;");
}

static void all_else_is_left_alone(void **state)
{
    (void)state;
    assert_escaped("", 0, "");
    assert_escaped("plain /text?x=1;", 16, "plain /text?x=1;");
    assert_escaped("Gr\xc3\xbc\xc3\x9f\xff\r\n", 8, "Gr\xc3\xbc\xc3\x9f\xff\r");
    assert_escaped("cut <here>", 4, "cut ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_escaped_for_html),
        cmocka_unit_test(all_else_is_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
