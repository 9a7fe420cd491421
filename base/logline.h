/* One line of the log, while it is built: plain text or JSON, within a bound, with
 * everything escaped that could end a line, drive a terminal, or pass for another field.
 *
 * A line belongs to the thread that builds it. Nothing here blocks or needs memory. */
#ifndef LUAFCGID2_BASE_LOGLINE_H
#define LUAFCGID2_BASE_LOGLINE_H

#include "base/logfile.h"

#include <stddef.h>

struct logline {
    char text[LOGFILE_LINE_MAX];
    size_t len;
};

/* How a text is written. Control characters are escaped in each, and bytes that are no
 * UTF-8 (RFC 3629). */
enum logline_style {
    LOGLINE_PLAIN,  /* \n, \x1b */
    LOGLINE_QUOTED, /* the same, and \" and \\: a text in quotes */
    LOGLINE_JSON,   /* the inside of a string of JSON (RFC 8259, section 7) */
};

/* Appends what is known to fit. */
void logline_add(struct logline *line, const char *text, size_t len);
void logline_puts(struct logline *line, const char *text);

/* Appends text, escaped, as long as the line stays within `limit` bytes. What does not
 * fit is replaced by the mark "...[cut]", never within a character. */
void logline_escape(struct logline *line, enum logline_style style, const char *text,
                    size_t len, size_t limit);

/* Appends the present time, as 2026-01-31T12:00:00.123Z. */
void logline_time(struct logline *line);

#endif
