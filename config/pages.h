/* The option ErrorPage: the site's own pages for errors, by status. For the files of this
 * folder and config.c only. Nothing blocks. */
#ifndef LUAFCGID2_CONFIG_PAGES_H
#define LUAFCGID2_CONFIG_PAGES_H

#include "config/loader.h"

/* Makes the option's global an empty table, so that a file can say ErrorPage[404] =
 * "...". Before the file is run. */
void pages_prepare(lua_State *L);

/* Puts the table at `index` into the struct. Each element that is no status with a path
 * is a mistake. false: it is no table, and no message was given yet. */
bool pages_store(struct loader *l, const struct option_row *o, int index);

/* Frees the list that the field points to; it may still be NULL. */
void pages_free(void *field);

#endif
