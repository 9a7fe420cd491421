/* What goes beyond a single option. For the files of this folder only. */
#ifndef LUAFCGID2_CONFIG_RULES_H
#define LUAFCGID2_CONFIG_RULES_H

#include "config/loader.h"

/* Makes options fit each other where one of them was not set, and reports those that do
 * not fit. Looks at files, so it may block as the file system does. */
void rules_check(struct loader *l);

/* Warns of values that are legal and risky. */
void rules_warn(struct loader *l);

#endif
