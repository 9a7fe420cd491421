/* The page that a visitor gets when a request failed. Pure; nothing blocks. */
#ifndef LUAFCGID2_HTTP_PAGE_H
#define LUAFCGID2_HTTP_PAGE_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

#define PAGE_TYPE "text/html; charset=utf-8"

/* What a developer is shown of an error. Texts are escaped here, and may be anything. */
struct page_detail {
    const char *message; /* a traceback may follow after a newline */
    const char *file;    /* where it happened; NULL: unknown */
    int line;            /* of that, from 1 */
    const char *source;  /* content of the file; NULL: not known */
    size_t source_len;
};

/* Appends the page for `status`, as "404 Not Found". A 404 names `path`. With a `detail`,
 * which may be NULL, it shows the message, and the lines of the source around the place.
 * false: out of memory, and some of the page is missing. */
bool page_write(struct buffer *out, const char *status, const char *path,
                const struct page_detail *detail);

#endif
