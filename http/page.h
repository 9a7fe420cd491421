/* The page that a visitor gets when a request failed. Pure; nothing blocks. */
#ifndef LUAFCGID2_HTTP_PAGE_H
#define LUAFCGID2_HTTP_PAGE_H

#include "base/buffer.h"

#include <stdbool.h>

#define PAGE_TYPE "text/html; charset=utf-8"

/* Appends the page for `status`, as "404 Not Found". A 404 names `path`. `detail` is
 * more text for the visitor, or NULL. Both are escaped here. false: out of memory, and
 * some of the page is missing. */
bool page_write(struct buffer *out, const char *status, const char *path,
                const char *detail);

#endif
