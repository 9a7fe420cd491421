/* Base64. */
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_encoded(const char *bytes, bool url, const char *text)
{
    char out[64];
    size_t len = base64_encode(out, bytes, strlen(bytes), url);
    assert_true(len <= BASE64_SIZE(strlen(bytes)));
    assert_int_equal(len, strlen(text));
    assert_memory_equal(out, text, len);
}

static bool decoded(const char *text, size_t piece, char *out, size_t *len)
{
    struct base64 b = {0};
    *len = 0;
    for (size_t i = 0; i < strlen(text); i += piece) {
        size_t n = strlen(text) - i < piece ? strlen(text) - i : piece;
        size_t got = base64_decode(&b, out + *len, text + i, n);
        if (got == SIZE_MAX)
            return false;
        assert_true(got <= (n + 3) / 4 * 3);
        *len += got;
    }
    return base64_is_whole(&b);
}

static void assert_decoded(const char *text, const char *bytes)
{
    for (size_t piece = 1; piece <= 8; piece++) {
        char out[64];
        size_t len;
        assert_true(decoded(text, piece, out, &len));
        assert_int_equal(len, strlen(bytes));
        assert_memory_equal(out, bytes, len);
    }
}

static void the_texts_of_rfc_4648_are_encoded(void **state)
{
    (void)state;
    assert_encoded("", false, "");
    assert_encoded("f", false, "Zg==");
    assert_encoded("fo", false, "Zm8=");
    assert_encoded("foo", false, "Zm9v");
    assert_encoded("foob", false, "Zm9vYg==");
    assert_encoded("fooba", false, "Zm9vYmE=");
    assert_encoded("foobar", false, "Zm9vYmFy");
    assert_encoded("\xfb\xff\xfe", false, "+//+");
}

static void for_urls_there_is_no_padding(void **state)
{
    (void)state;
    assert_encoded("f", true, "Zg");
    assert_encoded("fo", true, "Zm8");
    assert_encoded("\xfb\xff\xfe", true, "-__-");
}

static void both_alphabets_are_decoded_piece_by_piece(void **state)
{
    (void)state;
    assert_decoded("", "");
    assert_decoded("Zg==", "f");
    assert_decoded("Zg", "f");
    assert_decoded("Zm8=", "fo");
    assert_decoded("Zm9vYmFy", "foobar");
    assert_decoded("Zm9v\r\nYmE=\n", "fooba");
    assert_decoded("+//+-__-", "\xfb\xff\xfe\xfb\xff\xfe");
}

static void what_is_no_base64_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "Z",    "Zg=",   "Zg===", "=",     "Zm9v=",           "Zg==Z",
        "Zm9*", "Zm9vZ", "====",  "Zm8==", "\x80\x80\x80\x80"};
    char out[64];
    size_t len;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t piece = 1; piece <= 8; piece++)
            if (decoded(bad[i], piece, out, &len))
                fail_msg("\"%s\" is decoded", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_texts_of_rfc_4648_are_encoded),
        cmocka_unit_test(for_urls_there_is_no_padding),
        cmocka_unit_test(both_alphabets_are_decoded_piece_by_piece),
        cmocka_unit_test(what_is_no_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
