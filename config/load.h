/* Loading a file into struct config. For config.c only. */
#ifndef LUAFCGID2_CONFIG_LOAD_H
#define LUAFCGID2_CONFIG_LOAD_H

#include "config/fields.h"

#include <stdio.h>

/* Fills `config`, which is zeroed, from `file` (NULL: defaults only). Blocks as
 * config_load does. false: `errors` has a line for each mistake, and the struct is filled
 * in part. In both cases the caller frees what its fields point to. `library` may be
 * NULL. `hooks` (NULL: not wanted) gets the hooks of a file without mistakes. */
bool load_into(struct config *config, const char *file, FILE *errors,
               const struct config_library *library, struct config_hooks **hooks);

#endif
