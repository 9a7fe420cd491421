/* Figures as text, for people and for those who read php-fpm's status. Pure; nothing
 * blocks. */
#ifndef LUAFCGID2_DAEMON_FIGURES_TEXT_H
#define LUAFCGID2_DAEMON_FIGURES_TEXT_H

#include "daemon/figures.h"

/* Appends a line "key:   value" for each row, a line for each entry of a group with
 * labels; the entries of the group `processes` (NULL: none) are blocks of lines at the
 * end, as php-fpm writes them. Control characters are escaped. false: out of memory. */
bool figures_text_write(const struct figures *f, const char *processes,
                        struct buffer *out);

/* Appends a moment as php-fpm writes it: "31/Dec/2026:23:59:59 +0000". */
bool figures_text_moment(struct buffer *out, int64_t moment);

#endif
