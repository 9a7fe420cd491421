/* UTF-8: what is a character, and what only looks like one. */
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void expect(const char *text, size_t length)
{
    assert_int_equal(utf8_length((const unsigned char *)text, strlen(text)), length);
}

static void characters_have_their_length(void **state)
{
    (void)state;
    expect("a", 1);
    expect("\x7f", 1);
    expect("\xc2\x80", 2);
    expect("\xdf\xbfx", 2);
    expect("\xe0\xa0\x80", 3);
    expect("\xed\x9f\xbf", 3);
    expect("\xef\xbf\xbf", 3);
    expect("\xf0\x90\x80\x80", 4);
    expect("\xf4\x8f\xbf\xbf", 4);
}

static void other_bytes_are_none(void **state)
{
    (void)state;
    expect("\x80", 0);
    expect("\xc1\xbf", 0);         /* overlong */
    expect("\xe0\x9f\xbf", 0);     /* overlong */
    expect("\xed\xa0\x80", 0);     /* a surrogate */
    expect("\xf0\x8f\xbf\xbf", 0); /* overlong */
    expect("\xf4\x90\x80\x80", 0); /* beyond U+10FFFF */
    expect("\xf5\x80\x80\x80", 0); /* the same */
    expect("\xc3", 0);             /* cut short */
    expect("\xe2\x82", 0);
    expect("\xf0\x9f\x98", 0);
    expect("\xe2\x28\xa1", 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_have_their_length),
        cmocka_unit_test(other_bytes_are_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
