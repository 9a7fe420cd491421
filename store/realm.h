/* The data of one session: realms, each with variables by name. Names and values are any
 * bytes. Plain memory without a lock: whoever owns the session guards it. Its size is
 * counted in bytes, so that a session can be bounded. */
#ifndef LUAFCGID2_STORE_REALM_H
#define LUAFCGID2_STORE_REALM_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that a realm or a variable counts beside its name and value. */
#define REALM_OVERHEAD    128
#define VARIABLE_OVERHEAD 64

/* A name and its value, immutable. The realms of one session may share it. */
struct variable {
    unsigned owners;
    uint32_t name_len, value_len;
    char bytes[]; /* name, then value */
};

struct realm {
    char *name;
    size_t name_len;
    struct variable **variables; /* sorted by name */
    size_t count, cap;
};

/* Zeroed memory is empty. Fields are for reading. */
struct realms {
    struct realm *list; /* in the order in which they were made */
    size_t count, cap;
    uint64_t size; /* bytes counted in all */
};

enum realm_result {
    REALM_OK,
    REALM_ABSENT, /* there is nothing of that name */
    REALM_FULL,   /* it would count more than `max` bytes */
    REALM_NO_MEMORY,
};

struct bytes realm_name(const struct realm *r);
struct bytes realm_variable_name(const struct variable *v);
struct bytes realm_variable_value(const struct variable *v);

/* Makes a variable, which the caller owns and frees with realm_variable_drop. NULL: out
 * of memory, or longer than 2 GiB. Needs no lock, so that copying can be done before one
 * is taken. */
struct variable *realm_variable_create(struct bytes name, struct bytes value);
void realm_variable_drop(struct variable *v); /* NULL is allowed */

/* The realm "*" below is every realm there is. `max` <= 0: no bound. */

/* Stores `v`, and makes the realm if need be. "*": stores it in all realms or in none;
 * REALM_ABSENT if there is none. The caller keeps its `v` and drops it afterwards,
 * whatever is returned. Unless REALM_OK is returned nothing has changed. */
enum realm_result realms_set(struct realms *r, struct bytes realm, struct variable *v,
                             int64_t max);

/* Makes an empty realm, not "*", unless it exists. */
enum realm_result realms_add(struct realms *r, struct bytes realm);

/* Deletes a variable, if it is there. The realm remains. */
void realms_unset(struct realms *r, struct bytes realm, struct bytes name);

/* "*": from the first realm that has it. NULL: not there. Borrowed until a change. */
const struct variable *realms_get(const struct realms *r, struct bytes realm,
                                  struct bytes name);

/* "*": whether there is any realm. */
bool realms_has(const struct realms *r, struct bytes realm);

/* Moves a realm, or all for "*", from `r` to the empty `removed`, which realms_free frees
 * once no lock is held. false: there is no such realm; never for "*". */
bool realms_remove(struct realms *r, struct bytes realm, struct realms *removed);

/* What remains is empty. */
void realms_free(struct realms *r);

#endif
