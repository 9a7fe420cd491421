/* Base64. Pure functions, for any thread. */
#include "base/base64.h"

static const char standard[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char for_urls[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

size_t base64_encode(char *out, const void *data, size_t len, bool url)
{
    const char *alphabet = url ? for_urls : standard;
    const unsigned char *in = data;
    char *p = out;
    for (; len >= 3; len -= 3, in += 3) {
        uint32_t bits = (uint32_t)in[0] << 16 | (uint32_t)in[1] << 8 | in[2];
        *p++ = alphabet[bits >> 18];
        *p++ = alphabet[bits >> 12 & 63];
        *p++ = alphabet[bits >> 6 & 63];
        *p++ = alphabet[bits & 63];
    }
    if (len == 0)
        return (size_t)(p - out);
    uint32_t bits = (uint32_t)in[0] << 16 | (len > 1 ? (uint32_t)in[1] << 8 : 0);
    *p++ = alphabet[bits >> 18];
    *p++ = alphabet[bits >> 12 & 63];
    if (len > 1)
        *p++ = alphabet[bits >> 6 & 63];
    for (; !url && len < 3; len++)
        *p++ = '=';
    return (size_t)(p - out);
}

/* The six bits that a character stands for, or -1. */
static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    return c == '/' || c == '_' ? 63 : -1;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* A group of two characters is padded to four with two '=', one of three with one. */
static bool take_padding(struct base64 *b)
{
    b->padding++;
    return b->count >= 2 && b->count + b->padding <= 4;
}

size_t base64_decode(struct base64 *b, void *out, const char *text, size_t len)
{
    unsigned char *p = out;
    for (size_t i = 0; i < len; i++) {
        int six = digit(text[i]);
        if (six < 0) {
            if (is_space(text[i]) || (text[i] == '=' && take_padding(b)))
                continue;
            return SIZE_MAX;
        }
        if (b->padding > 0)
            return SIZE_MAX;
        b->bits = b->bits << 6 | (uint32_t)six;
        if (b->count > 0)
            *p++ = (unsigned char)(b->bits >> (6 - 2 * b->count));
        b->count = (b->count + 1) % 4;
    }
    return (size_t)(p - (unsigned char *)out);
}

bool base64_is_whole(const struct base64 *b)
{
    return b->count != 1 && (b->padding == 0 || b->count + b->padding == 4);
}
