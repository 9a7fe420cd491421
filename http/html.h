/* Text in HTML pages. Pure; nothing blocks. */
#ifndef LUAFCGID2_HTTP_HTML_H
#define LUAFCGID2_HTTP_HTML_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* What stands for a character in content and in values of attributes in quotes; NULL: it
 * stands for itself. */
const char *html_entity(char c);

/* Appends text with & < > " ' escaped, for content and for values of attributes in
 * quotes. false: out of memory, and some of it may be missing. */
bool html_escape(struct buffer *out, const char *text, size_t len);

#endif
