/* Classes of ASCII characters: all 256, against the standard's own lists. */
#include "base/ascii.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char digits[] = "0123456789";
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char others[] = "!#$%&'*+-.^_`|~"; /* RFC 9110 section 5.6.2 */

static bool is_in(const char *set, int c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static void every_character_is_in_its_classes(void **state)
{
    (void)state;
    for (int i = 0; i < 256; i++) {
        char c = (char)i;
        bool digit = is_in(digits, c), letter = is_in(letters, c);
        assert_int_equal(ascii_is_digit(c), digit);
        assert_int_equal(ascii_is_alpha(c), letter);
        assert_int_equal(ascii_is_alnum(c), digit || letter);
        assert_int_equal(ascii_is_token(c), digit || letter || is_in(others, c));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_character_is_in_its_classes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
