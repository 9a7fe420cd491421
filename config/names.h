/* The names of an option. For the files of this folder only. */
#ifndef LUAFCGID2_CONFIG_NAMES_H
#define LUAFCGID2_CONFIG_NAMES_H

#include "config/loader.h"

/* Whether the file, whose globals are those of `L`, uses the names of the first
 * luafcgid2. */
bool names_are_early(lua_State *L);

/* Pushes the value that the file gave the option, and notes the name in the load. false:
 * it gave none, and nothing is pushed. */
bool names_push_value(struct loader *l, const struct option_row *o);

/* The option's name that `global` is close to. NULL: it is close to none, or is one. */
const char *names_close_to(const struct loader *l, const char *global);

#endif
