/* A version of a script: its file, compiled once for all its states. However many
 * requests ask for a script at the same time, one of them compiles and the others wait
 * for it.
 *
 * An entry has a place for the version that is being loaded or was loaded last: a
 * pointer, which the pool's lock guards. The place counts as a reference. It is NULL
 * while nothing is known of the file. Versions are counted and immutable once loaded. */
#ifndef LUAFCGID2_POOL_VERSION_H
#define LUAFCGID2_POOL_VERSION_H

#include "config.h"
#include "lua/script.h"
#include "pool/lock.h"
#include <stdbool.h>

struct version;

/* A reference to a version of the file at `path` from which states can be made: the one
 * at `place`, or a new one if there is none or it is out of date. `*loaded` becomes true
 * when this call compiled. NULL with `error` filled: the file cannot be read, does not
 * compile, or memory is out. Blocks while the file is read and compiled. No lock held. */
struct version *version_hold(struct version **place, struct lock *lock, const char *path,
                             struct config *config, struct script_error *error,
                             bool *loaded);

/* NULL is allowed. No lock held: the last reference frees it. */
void version_unref(struct version *v);

/* Refers to the version at a place if it is loaded, for version_unref; else NULL. */
struct version *version_ref_loaded_locked(struct version *v);

/* Whether neither the file nor the configuration of a loaded version has changed. */
bool version_is_current(const struct version *v, const struct config *config);

/* Empties the place, if that is the version there. No lock held. */
void version_forget(struct version **place, struct lock *lock, struct version *v);

/* What states are made from, of a version that version_hold has returned; borrowed. */
struct script_code *version_code(const struct version *v);

#endif
