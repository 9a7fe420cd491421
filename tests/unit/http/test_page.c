/* The page of a failure. */
#include "http/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The page, until the next call. */
static const char *page(const char *status, const char *path,
                        const struct page_detail *detail)
{
    static struct buffer out;
    buffer_clear(&out, 0);
    assert_true(page_write(&out, status, path, detail));
    assert_true(buffer_append(&out, "", 1));
    return out.data;
}

static void assert_part(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in:\n%s", part, text);
}

static void a_page_names_its_status_and_explains_it(void **state)
{
    (void)state;
    const char *text = page("413 Content Too Large", "/a.lua", NULL);
    assert_memory_equal(text, "<!DOCTYPE html>\n", 16);
    assert_part(text, "<title>413 Content Too Large</title>");
    assert_part(text, "<h1>413 Content Too Large</h1>");
    assert_part(text, "<p>What was sent is larger than this server accepts.</p>");
    assert_part(text, "prefers-color-scheme: dark");
    assert_part(text, "</body>\n</html>\n");
    assert_null(strstr(text, "/a.lua"));
    assert_null(strstr(text, "<pre>"));
}

static void a_status_without_a_sentence_stands_alone(void **state)
{
    (void)state;
    assert_part(page("418 Unassigned", "", NULL), "<h1>418 Unassigned</h1>\n<p></p>\n");
}

static void a_404_names_the_path(void **state)
{
    (void)state;
    assert_part(page("404 Not Found", "/<b>.lua", NULL),
                "<p>There is no such page here: <code>/&lt;b&gt;.lua</code></p>");
}

#define ERROR "500 Internal Server Error"

static void the_message_is_escaped(void **state)
{
    (void)state;
    struct page_detail detail = {.message = "a.lua:1: '<' & more"};
    assert_part(
        page(ERROR, "", &detail),
        "</p>\n<pre class=\"message\">a.lua:1: &#39;&lt;&#39; &amp; more</pre>\n");
}

static void a_traceback_is_apart_from_the_message(void **state)
{
    (void)state;
    struct page_detail detail = {
        .message = "two\nlines\nstack traceback:\n\t[C]: in function 'error'"};
    const char *text = page(ERROR, "", &detail);
    assert_part(text, "<pre class=\"message\">two\nlines</pre>\n");
    assert_part(text, ">\t[C]: in function &#39;error&#39;</pre>\n");
    assert_null(strstr(text, "stack traceback"));
}

static const char *show(const char *source, size_t len, int line)
{
    struct page_detail detail = {"why", "/site/<a>.lua", line, source, len};
    return page(ERROR, "", &detail);
}

#define LINE(n, text) "<code><b>" #n "</b>" text "</code>"

static void the_line_is_marked_among_five_on_each_side(void **state)
{
    (void)state;
    const char source[] = "1\n2\nthree\n4\n5\n6\n7\na < b\r\n9\n10\n11\n12\n13\n14\n15\n";
    const char *text = show(source, sizeof source - 1, 8);
    assert_part(text, "<h2><code>/site/&lt;a&gt;.lua</code>, line 8</h2>\n");
    assert_part(text, ">" LINE(3, "three") LINE(4, "4") LINE(5, "5"));
    assert_part(text, "<mark>" LINE(8, "a &lt; b") "</mark>" LINE(9, "9"));
    assert_part(text, LINE(12, "12") LINE(13, "13") "</pre>");
    assert_null(strstr(text, "<b>2</b>"));
    assert_null(strstr(text, "<b>14</b>"));
}

static void the_first_and_the_last_line_have_fewer_around(void **state)
{
    (void)state;
    assert_part(show("a\nb", 3, 1), "\"0\"><mark>" LINE(1, "a") "</mark>" LINE(2, "b"));
    assert_part(show("a\nb", 3, 2),
                "\"0\">" LINE(1, "a") "<mark>" LINE(2, "b") "</mark></pre>");
    assert_part(show("a\n", 2, 2), "\"0\">" LINE(1, "a") "</pre>"); /* its <eof> */
    assert_part(show("", 0, 1), "\"0\"></pre>");
    assert_part(show("a", 1, 1000000), "\"0\"></pre>"); /* shorter by now */
}

static void a_source_may_be_any_bytes(void **state)
{
    (void)state;
    const char source[] = "\0\xff\x1b\x7f\xc3\xa9\t<";
    assert_part(show(source, sizeof source - 1, 1),
                LINE(1, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                        "\xc3\xa9\t&lt;"));
}

static void a_long_line_is_cut_between_characters(void **state)
{
    (void)state;
    static char source[100001];
    for (size_t i = 0; i < 50000; i++)
        memcpy(source + 2 * i + 1, "\xc3\xa9", 2);
    source[0] = 'x';
    const char *text = show(source, sizeof source, 1);
    assert_in_range(strlen(text), 500, 6000);
    assert_part(text, "\xc3\xa9 ...</code>");
    assert_null(strstr(text, "\xef\xbf\xbd"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_names_its_status_and_explains_it),
        cmocka_unit_test(a_status_without_a_sentence_stands_alone),
        cmocka_unit_test(a_404_names_the_path),
        cmocka_unit_test(the_message_is_escaped),
        cmocka_unit_test(a_traceback_is_apart_from_the_message),
        cmocka_unit_test(the_line_is_marked_among_five_on_each_side),
        cmocka_unit_test(the_first_and_the_last_line_have_fewer_around),
        cmocka_unit_test(a_source_may_be_any_bytes),
        cmocka_unit_test(a_long_line_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
