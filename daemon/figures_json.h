/* Figures as JSON (RFC 8259). Pure; nothing blocks. */
#ifndef LUAFCGID2_DAEMON_FIGURES_JSON_H
#define LUAFCGID2_DAEMON_FIGURES_JSON_H

#include "daemon/figures.h"

/* Appends one object: groups without a name are members of it, groups with labels are
 * lists of objects. Bytes that are not UTF-8 become U+FFFD. false: out of memory. */
bool figures_json_write(const struct figures *f, struct buffer *out);

#endif
