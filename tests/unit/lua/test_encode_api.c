/* Escaping and encoding, called as scripts call them. */
#include "lua/encode_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void text_is_escaped_for_html(void **state)
{
    (void)state;
    check("is(lf.escape([[<a href=\"x\">Tom & 'Jerry'</a>]]), "
          "'&lt;a href=&quot;x&quot;&gt;Tom &amp; &#39;Jerry&#39;&lt;/a&gt;')"
          "is(lf.escape(''), '') is(lf.escape('plain'), 'plain') is(lf.escape(12), '12')"
          "is(lf.escape('\\0<\\xff'), '\\0&lt;\\xff')"
          "is(lf.escape(('a<'):rep(10000)), ('a&lt;'):rep(10000))");
}

static void text_is_escaped_for_strings_in_script_elements(void **state)
{
    (void)state;
    check("is(lf.escape_js('plain text 12'), 'plain text 12')"
          "is(lf.escape_js('</script>'), [[\\u003c\\u002fscript\\u003e]])"
          "is(lf.escape_js('<!--'), [[\\u003c!\\u002d\\u002d]])"
          "is(lf.escape_js([['\"`${}]]), [[\\u0027\\u0022\\u0060\\u0024{}]])"
          "is(lf.escape_js('a\\\\b\\n\\r\\0'), [[a\\u005cb\\u000a\\u000d\\u0000]])"
          "is(lf.escape_js('\\u{2028}x\\u{2029}'), [[\\u2028x\\u2029]])"
          "is(lf.escape_js('\\u{202a}\\u{e9}\\xe2\\x80'), '\\u{202a}\\u{e9}\\xe2\\x80')");
}

static void base64_of_any_length_decodes_to_what_it_was(void **state)
{
    (void)state;
    check("is(lf.base64('foob'), 'Zm9vYg==') is(lf.base64url('\\xfb\\xff\\xfe?'), "
          "'-__-Pw')"
          "for _, n in ipairs{0, 1, 2, 3, 3071, 3072, 3073, 6144, 9999} do "
          "local s = ('\\0\\xff\\x80x'):rep(n):sub(1, n) "
          "is(lf.unbase64(lf.base64(s)), s) is(lf.unbase64(lf.base64url(s)), s) "
          "is(#lf.base64(s), (n + 2) // 3 * 4) end");
}

static void hexadecimal_decodes_to_what_it_was(void **state)
{
    (void)state;
    check("is(lf.hex('\\0\\x9a\\xff'), '009aff') is(lf.unhex('009aFF'), '\\0\\x9a\\xff')"
          "local t = {} for i = 0, 9999 do t[#t + 1] = string.char(i % 256) end "
          "local s = table.concat(t) is(lf.unhex(lf.hex(s)), s)");
}

static void what_cannot_be_decoded_gives_nil_and_a_reason(void **state)
{
    (void)state;
    check("for _, s in ipairs{'0', '0g', 'g0', '0\\0', ' 00'} do "
          "local v, why = lf.unhex(s) is(v, nil) is(why, 'not hexadecimal') end "
          "for _, s in ipairs{'A', 'AA=', '!!!!', ('A'):rep(9000) .. '.'} do "
          "local v, why = lf.unbase64(s) is(v, nil) is(why, 'not base64') end");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    assert_page_fails("lf.escape(nil)", "bad argument #1 to 'escape'");
    assert_page_fails("lf.escape_js({})", "bad argument #1 to 'escape_js'");
    assert_page_fails("lf.base64()", "bad argument #1 to 'base64'");
    assert_page_fails("lf.unhex(true)", "bad argument #1 to 'unhex'");
}

static void a_text_that_grows_meets_the_memory_limit(void **state)
{
    (void)state;
    config->script_memory_limit = 4 * 1024 * 1024;
    for (int i = 0; i < 4; i++) {
        static const char *const bodies[] = {
            "lf.escape(('<'):rep(1500000))", "lf.escape_js(('<'):rep(1500000))",
            "lf.hex(('x'):rep(1900000))", "lf.base64(('x'):rep(1900000))"};
        struct script *s = page(bodies[i]);
        struct script_error error = {0};
        begin_request((const char *const[]){"A=1", ""});
        assert_null(answer(s, &error));
        assert_non_null(strstr(error.message, "memory"));
        state_error_clear(&error);
        script_close(s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(text_is_escaped_for_html),
        TEST(text_is_escaped_for_strings_in_script_elements),
        TEST(base64_of_any_length_decodes_to_what_it_was),
        TEST(hexadecimal_decodes_to_what_it_was),
        TEST(what_cannot_be_decoded_gives_nil_and_a_reason),
        TEST(a_wrong_argument_is_named),
        TEST(a_text_that_grows_meets_the_memory_limit),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
