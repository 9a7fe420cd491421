/* The Set-Cookie header. */
#include "http/setcookie.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TEXT(s)                                                                          \
    {                                                                                    \
        s, sizeof(s) - 1                                                                 \
    }

static void assert_written(const struct setcookie *c, const char *text)
{
    struct buffer out = {0};
    assert_null(setcookie_check(c));
    assert_true(setcookie_write(c, &out));
    assert_int_equal(out.len, strlen(text));
    assert_memory_equal(out.data, text, out.len);
    buffer_free(&out);
}

static void assert_refused(const struct setcookie *c, const char *part)
{
    const char *why = setcookie_check(c);
    if (why == NULL || strstr(why, part) == NULL)
        fail_msg("says \"%s\", not \"%s\"", why == NULL ? "nothing" : why, part);
}

static void every_attribute_is_written(void **state)
{
    (void)state;
    assert_written(&(struct setcookie){.name = TEXT("a"), .value = TEXT("b")}, "a=b");
    assert_written(&(struct setcookie){.name = TEXT("a"),
                                       .value = TEXT(""),
                                       .path = TEXT("/x y"),
                                       .domain = TEXT("example.org"),
                                       .same_site = TEXT("strict"),
                                       .has_expires = true,
                                       .expires = 784111777,
                                       .has_max_age = true,
                                       .max_age = -5,
                                       .secure = true,
                                       .http_only = true},
                   "a=; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=-5; Path=/x y; "
                   "Domain=example.org; Secure; HttpOnly; SameSite=Strict");
    assert_written(&(struct setcookie){.name = TEXT("a"),
                                       .value = TEXT("b"),
                                       .path = TEXT(""),
                                       .same_site = TEXT("LAX")},
                   "a=b; SameSite=Lax");
}

static void a_value_is_encoded_when_it_must_be(void **state)
{
    (void)state;
    assert_written(
        &(struct setcookie){.name = TEXT("a"), .value = TEXT("!#$&'()*-./:<>?")},
        "a=!#$&'()*-./:<>?");
    assert_written(&(struct setcookie){.name = TEXT("a"), .value = TEXT("two words;")},
                   "a=two+words%3B");
    assert_written(&(struct setcookie){.name = TEXT("a"), .value = TEXT("1+1")},
                   "a=1%2B1");
    assert_written(
        &(struct setcookie){.name = TEXT("a"), .value = TEXT("%41\0\r\n\xff\"")},
        "a=%2541%00%0D%0A%FF%22");
}

static void what_browsers_refuse_is_refused(void **state)
{
    (void)state;
    struct setcookie good = {.name = TEXT("a"), .value = TEXT("b")}, c;
    static const struct setcookie_text names[] = {
        TEXT(""), TEXT("a b"), TEXT("a=b"), TEXT("a;"), TEXT("\xc3\xa9"), TEXT("a\0b")};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        c = good;
        c.name = names[i];
        assert_refused(&c, "name");
    }
    static const struct setcookie_text paths[] = {TEXT("x"), TEXT("/;"), TEXT("/\r\n"),
                                                  TEXT("/\0")};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        c = good;
        c.path = paths[i];
        assert_refused(&c, "path");
    }
    c = good;
    c.domain = (struct setcookie_text)TEXT("a b");
    assert_refused(&c, "domain");
    c = good;
    c.same_site = (struct setcookie_text)TEXT("Loose");
    assert_refused(&c, "samesite");
    c.same_site = (struct setcookie_text)TEXT("None");
    assert_refused(&c, "secure");
    c.secure = true;
    assert_null(setcookie_check(&c));
    c = good;
    c.has_expires = true;
    c.expires = INT64_MAX;
    assert_refused(&c, "expires");
}

static void names_with_a_prefix_keep_its_promise(void **state)
{
    (void)state;
    struct setcookie c = {.name = TEXT("__Secure-a"), .value = TEXT("b")};
    assert_refused(&c, "__Secure-");
    c.secure = true;
    assert_null(setcookie_check(&c));
    c.name = (struct setcookie_text)TEXT("__Host-a");
    assert_refused(&c, "__Host-");
    c.path = (struct setcookie_text)TEXT("/");
    assert_null(setcookie_check(&c));
    c.domain = (struct setcookie_text)TEXT("example.org");
    assert_refused(&c, "__Host-");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_attribute_is_written),
        cmocka_unit_test(a_value_is_encoded_when_it_must_be),
        cmocka_unit_test(what_browsers_refuse_is_refused),
        cmocka_unit_test(names_with_a_prefix_keep_its_promise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
