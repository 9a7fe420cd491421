/* SetCookie, called as scripts call it. */
#include "lua/cookie_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void assert_cookie(const char *arguments, const char *value)
{
    char body[512];
    snprintf(body, sizeof body, "SetCookie(%s)", arguments);
    assert_page(body, "");
    size_t len;
    const char *found = request_header(request, "Set-Cookie", &len);
    assert_non_null(found);
    if (len != strlen(value) || memcmp(found, value, len) != 0)
        fail_msg("%s gives \"%.*s\", not \"%s\"", arguments, (int)len, found, value);
}

static void a_cookie_is_valid_for_the_whole_site_by_default(void **state)
{
    (void)state;
    assert_cookie("'a', 'b'", "a=b; Path=/");
    assert_cookie("'a', 12, nil", "a=12; Path=/");
    assert_cookie("'a', 'b c', {path = '/x'}", "a=b+c; Path=/x");
    assert_cookie("'a', 'b', {path = ''}", "a=b");
}

static void options_are_attributes(void **state)
{
    (void)state;
    assert_cookie("'a', 'b', {maxage = 60, httponly = true, samesite = 'Lax'}",
                  "a=b; Max-Age=60; Path=/; HttpOnly; SameSite=Lax");
    assert_cookie("'a', 'b', {expires = 784111777.5, secure = true, domain = 'x.org'}",
                  "a=b; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Path=/; Domain=x.org; "
                  "Secure");
    assert_cookie("'a', 'b', {expires = 'Sun, 06 Nov 1994 08:49:37 GMT', maxage = 1.0}",
                  "a=b; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=1; Path=/");
    assert_cookie("'a', 'b', {secure = false, httponly = false}", "a=b; Path=/");
}

static void nil_takes_a_cookie_away(void **state)
{
    (void)state;
    assert_cookie("'a', nil", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; "
                              "Path=/");
    assert_cookie("'a', nil, {path = '/x', maxage = 9}",
                  "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/x");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    static const char *const wrong[][2] = {
        {"SetCookie()", "bad argument #2 to 'SetCookie' (value expected)"},
        {"SetCookie(nil, 'b')", "bad argument #1 to 'SetCookie'"},
        {"SetCookie('a', {})", "bad argument #2 to 'SetCookie'"},
        {"SetCookie('a', 'b', 5)", "bad argument #3 to 'SetCookie'"},
        {"SetCookie('a b', 'c')", "SetCookie: name:"},
        {"SetCookie('a', 'b', {httpOnly = true})", "there is no option 'httpOnly'"},
        {"SetCookie('a', 'b', {[1] = true})", "there is no option '1'"},
        {"SetCookie('a', 'b', {secure = 1})", "option secure: true or false expected"},
        {"SetCookie('a', 'b', {maxage = '60'})", "option maxage: an integer expected"},
        {"SetCookie('a', 'b', {maxage = 1.5})", "option maxage: an integer expected"},
        {"SetCookie('a', 'b', {expires = 'soon'})", "option expires: a time or"},
        {"SetCookie('a', 'b', {expires = 0/0})", "option expires: an integer expected"},
        {"SetCookie('a', 'b', {expires = 1e300})", "option expires: an integer expected"},
        {"SetCookie('a', 'b', {expires = math.maxinteger})", "expires: a time of the"},
        {"SetCookie('a', 'b', {path = 'x'})", "path: expected to begin with '/'"},
        {"SetCookie('a', 'b', {domain = 5})", "option domain: a string expected"},
        {"SetCookie('a', 'b', {samesite = 'None'})", "needs secure"},
        {"SetCookie('a', ('b'):rep(4097))", "more than 4096 bytes"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_page_fails(wrong[i][0], wrong[i][1]);
}

static void after_a_flush_it_only_warns(void **state)
{
    (void)state;
    assert_page("Flush() SetCookie('a', 'b') return 'x'", "x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cookie_is_valid_for_the_whole_site_by_default),
        TEST(options_are_attributes),
        TEST(nil_takes_a_cookie_away),
        TEST(a_wrong_argument_is_named),
        TEST(after_a_flush_it_only_warns),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
