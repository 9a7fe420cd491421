/* Base64 (RFC 4648 sections 4 and 5). Pure; nothing blocks. */
#ifndef LUAFCGID2_BASE_BASE64_H
#define LUAFCGID2_BASE_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How many characters `len` bytes become at most. */
#define BASE64_SIZE(len) (((len) + 2) / 3 * 4)

/* Writes BASE64_SIZE(len) characters at most, without a NUL, and returns how many. `url`:
 * in the alphabet for URLs and without padding. The text of a whole is the texts of its
 * parts, one after the other, if each part but the last has a multiple of three bytes. */
size_t base64_encode(char *out, const void *data, size_t len, bool url);

/* A text that is decoded piece by piece; zeroed, it is at the beginning. */
struct base64 {
    uint32_t bits; /* those that no byte has been made of */
    int count;     /* characters of the last group of four */
    int padding;   /* characters '=' */
};

/* Writes at most (len + 3) / 4 * 3 bytes and returns how many; SIZE_MAX: this is no
 * base64. Both alphabets are read, with and without padding; white space is skipped. */
size_t base64_decode(struct base64 *b, void *out, const char *text, size_t len);

/* Whether the text that ends here is whole. */
bool base64_is_whole(const struct base64 *b);

#endif
