/* The cookies of a request: an iterator over the Cookie header (RFC 6265 section 4.2.1).
 * Pure, borrows its input. */
#ifndef LUAFCGID2_HTTP_COOKIE_H
#define LUAFCGID2_HTTP_COOKIE_H

#include <stdbool.h>
#include <stddef.h>

struct cookie {
    const char *name, *value; /* in the header's text, not terminated */
    size_t name_len, value_len;
};

/* Takes the next cookie off `*header`. ';' alone separates: a comma is part of a value. A
 * value in quotes loses them; a name without '=' has the value "". false: no more. */
bool cookie_next(const char **header, struct cookie *cookie);

#endif
