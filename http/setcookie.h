/* The Set-Cookie header (RFC 6265 section 4.1, and SameSite of its successor, RFC
 * 6265bis). Pure; nothing blocks. */
#ifndef LUAFCGID2_HTTP_SETCOOKIE_H
#define LUAFCGID2_HTTP_SETCOOKIE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SETCOOKIE_MAX 4096 /* bytes of name and value; browsers drop longer ones */

struct setcookie_text {
    const char *data; /* NULL: not given */
    size_t len;
};

/* All texts are borrowed. */
struct setcookie {
    struct setcookie_text name, value, path, domain;
    struct setcookie_text same_site; /* "Strict", "Lax", "None", whatever their case */
    bool has_expires, has_max_age, secure, http_only;
    int64_t expires; /* seconds since 1970 */
    int64_t max_age; /* seconds */
};

/* NULL, or what a browser would refuse or misread, for a message: "path: ...". */
const char *setcookie_check(const struct setcookie *c);

/* Appends the header's value for a cookie that has passed setcookie_check. A value with
 * characters that a cookie cannot have, or with '%' or '+', is URL-encoded: decoding
 * gives back every value, and leaves those alone that were not encoded. false: out of
 * memory. */
bool setcookie_write(const struct setcookie *c, struct buffer *out);

#endif
