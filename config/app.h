/* The option Config. For the files of this folder only. */
#ifndef LUAFCGID2_CONFIG_APP_H
#define LUAFCGID2_CONFIG_APP_H

#include "config/loader.h"

/* Encodes the table at `index` into the struct's `app`. Each value that scripts cannot
 * get is a mistake; functions are left out, with a warning. false: it is no table, and no
 * message was given yet. */
bool app_store(struct loader *l, const struct option_row *o, int index);

#endif
