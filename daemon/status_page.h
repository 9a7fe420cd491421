/* The page of the status: constant, it fetches the figures itself. Pure; nothing blocks.
 */
#ifndef LUAFCGID2_DAEMON_STATUS_PAGE_H
#define LUAFCGID2_DAEMON_STATUS_PAGE_H

#include "base/buffer.h"

#include <stdbool.h>

/* Its Content-Security-Policy: it loads nothing but the figures, from where it is. */
#define STATUS_PAGE_POLICY                                                               \
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "        \
    "connect-src 'self'; base-uri 'none'; form-action 'none'"

/* Appends the page. false: out of memory. */
bool status_page_write(struct buffer *out);

#endif
