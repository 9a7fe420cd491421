/* UTF-8 in texts that may be anything. Pure; nothing blocks. */
#ifndef LUAFCGID2_BASE_UTF8_H
#define LUAFCGID2_BASE_UTF8_H

#include <stddef.h>

/* Length of the UTF-8 character at `s` (RFC 3629), where there are `n` bytes, at least
 * one. 0: the bytes are no character, but overlong, a surrogate, beyond U+10FFFF or cut
 * short. */
size_t utf8_length(const unsigned char *s, size_t n);

#endif
