/* Errors of a checkout that the pool itself reports. */
#ifndef LUAFCGID2_POOL_FAILURE_H
#define LUAFCGID2_POOL_FAILURE_H

#include "lua/script.h"

/* Fills an empty `error` with a copy of `message`, which may be NULL. */
void failure_set(struct script_error *error, int status, const char *message);

/* Fills an empty `error` with a copy of `from`. */
void failure_copy(struct script_error *error, const struct script_error *from);

/* As failure_set: status 500, out of memory. */
void failure_no_memory(struct script_error *error);

#endif
