/* SHA-256 against published vectors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/sha256.h"

static const char *hex(const unsigned char hash[SHA256_SIZE])
{
    static char text[2 * SHA256_SIZE + 1];
    for (int i = 0; i < SHA256_SIZE; i++)
        snprintf(text + 2 * i, 3, "%02x", hash[i]);
    return text;
}

static const char *sha256_hex(const void *data, size_t len)
{
    unsigned char hash[SHA256_SIZE];
    sha256(data, len, hash);
    return hex(hash);
}

/* FIPS 180-2 appendix B and NIST's "short message" and "long message" lists. */
static void known_hashes(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hash;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnop"
         "q"
         "klmnopqrlmnopqrsmnopqrstnopqrstu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
        {"\xbd", "68325720aabd7c82f30f554b313d0570c95accbb7dc4b5aae11204c08ffe732b"},
        {"\xc9\x8c\x8e\x55",
         "7abc22c0ae5af26ce93dbb94433a0e0b2e119d014f8e7f65bd56c61ccccd9504"},
    };
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        assert_string_equal(sha256_hex(vectors[i].text, strlen(vectors[i].text)),
                            vectors[i].hash);
}

static void a_million_letters(void **state)
{
    (void)state;
    char *text = malloc(1000000);
    assert_non_null(text);
    memset(text, 'a', 1000000);
    assert_string_equal(
        sha256_hex(text, 1000000),
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(text);
}

/* NIST's vectors around the length where the padding needs a block of its own. */
static void zeros_around_the_block_size(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        const char *hash;
    } vectors[] = {
        {55, "02779466cdec163811d078815c633f21901413081449002f24aa3e80f0b88ef7"},
        {56, "d4817aa5497628e7c77e6b606107042bbba3130888c5f47a375e6179be789fbb"},
        {57, "65a16cb7861335d5ace3c60718b5052e44660726da4cd13bb745381b235a1785"},
        {64, "f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a92759fb4b"},
        {1000, "541b3e9daa09b20bf85fa273e5cbd3e80185aa4ec298e765db87742b70138a53"},
    };
    char zeros[1000] = {0};
    for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++)
        assert_string_equal(sha256_hex(zeros, vectors[i].len), vectors[i].hash);
}

static void pieces_of_any_size_hash_like_the_whole(void **state)
{
    (void)state;
    unsigned char text[300], whole[SHA256_SIZE], parts[SHA256_SIZE];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)(i * 7);
    for (size_t len = 0; len <= sizeof text; len++) {
        sha256(text, len, whole);
        for (size_t piece = 1; piece <= 130; piece += 3) {
            struct sha256 h;
            sha256_init(&h);
            for (size_t at = 0; at < len; at += piece)
                sha256_update(&h, text + at, piece < len - at ? piece : len - at);
            sha256_final(&h, parts);
            assert_memory_equal(whole, parts, SHA256_SIZE);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_hashes),
        cmocka_unit_test(a_million_letters),
        cmocka_unit_test(zeros_around_the_block_size),
        cmocka_unit_test(pieces_of_any_size_hash_like_the_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
