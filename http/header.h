/* The header fields of one response (RFC 9110 section 5, RFC 3875 section 6.3).
 *
 * Names are compared without case. Setting a field replaces it, except for those that may
 * repeat: Set-Cookie, Link, WWW-Authenticate, Vary, Content-Security-Policy (and
 * -Report-Only), Server-Timing, Via. One request owns the table; nothing blocks. A zeroed
 * struct is an empty table. */
#ifndef LUAFCGID2_HTTP_HEADER_H
#define LUAFCGID2_HTTP_HEADER_H

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>

#define HEADERS_MAX_BYTES 65536 /* names and values of one response, in all */
#define HEADERS_MAX_COUNT 1000  /* fields of one response */

struct header_field; /* offsets into `bytes` */

struct headers {
    struct buffer bytes;       /* names and values, one after the other */
    struct header_field *list; /* `count` of `cap` */
    size_t count, cap;
};

enum headers_result {
    HEADERS_OK,
    HEADERS_BAD_NAME,  /* not a token (RFC 9110 section 5.6.2) */
    HEADERS_BAD_VALUE, /* contains CR, LF or NUL */
    HEADERS_TOO_LARGE, /* over HEADERS_MAX_BYTES or HEADERS_MAX_COUNT */
    HEADERS_NO_MEMORY,
};

/* What went wrong, for an error message. */
const char *headers_strerror(enum headers_result result);

/* Sets, or adds, a field. White space around the value is dropped. On failure the table
 * is as it was. */
enum headers_result headers_set(struct headers *h, const char *name, size_t name_len,
                                const char *value, size_t value_len);

/* The same for a whole line "Name: value", with or without CRLF at its end. */
enum headers_result headers_set_line(struct headers *h, const char *line, size_t len);

/* Sets every line of a text of lines; stops at the first bad one. */
enum headers_result headers_set_lines(struct headers *h, const char *text, size_t len);

void headers_remove(struct headers *h, const char *name);

/* The value of the first field of that name, not terminated; its length goes into `len`.
 * NULL: there is none. */
const char *headers_get(const struct headers *h, const char *name, size_t *len);

/* Appends "Name: value\r\n" for every field. false: out of memory. */
bool headers_write(const struct headers *h, struct buffer *out);

/* Empties the table, then makes it a copy of `from` (may be NULL). false: no memory. */
bool headers_reset(struct headers *h, const struct headers *from);

void headers_free(struct headers *h);

#endif
