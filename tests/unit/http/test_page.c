/* The page of a failure. */
#include "http/page.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* The page, until the next call. */
static const char *page(const char *status, const char *path, const char *detail)
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

static void the_detail_is_escaped(void **state)
{
    (void)state;
    assert_part(page("500 Internal Server Error", "", "a.lua:1: '<' & more"),
                "</p>\n<pre>a.lua:1: &#39;&lt;&#39; &amp; more</pre>\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_names_its_status_and_explains_it),
        cmocka_unit_test(a_status_without_a_sentence_stands_alone),
        cmocka_unit_test(a_404_names_the_path),
        cmocka_unit_test(the_detail_is_escaped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
