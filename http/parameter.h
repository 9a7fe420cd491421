/* The parameters of a header field's value: form-data; name="a"; filename="b c.txt"
 * (RFC 9110 section 5.6.6, RFC 2045 section 5.1). Pure, borrows its input. */
#ifndef LUAFCGID2_HTTP_PARAMETER_H
#define LUAFCGID2_HTTP_PARAMETER_H

#include <stdbool.h>
#include <stddef.h>

struct parameter {
    const char *name, *value; /* in the field's text, not terminated */
    size_t name_len, value_len;
    bool quoted; /* it stood in quotes, which are not part of `value` */
};

/* Where the iterator is. */
struct parameters {
    const char *at, *end;
    bool malformed; /* what stands at `at` is no parameter */
};

/* Begins with a field's value, of which `*first_len` bytes come before the first
 * parameter: the media type, or the disposition. */
struct parameters parameters_of(const char *value, size_t len, size_t *first_len);

/* Takes the next one. A value in quotes may contain backslashes: browsers send them as
 * they are, so only \" and \\ are one character. false: no more, or malformed. */
bool parameter_next(struct parameters *ps, struct parameter *p);

/* Whether it has this name, in any case; `name` is in lower case. */
bool parameter_is(const struct parameter *p, const char *name);

/* Copies the value, without the backslashes of \" and \\ if it was quoted, to `out`,
 * which has room for p->value_len bytes and may be where the value is. Returns the
 * length. */
size_t parameter_copy(const struct parameter *p, char *out);

#endif
