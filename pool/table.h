/* The table: the entries by path and document root, and which of them are remembered
 * after their last state is gone (ghosts).
 *
 * The pool's lock guards the table and its entries. The table owns the entries in it.
 * Those that it drops are handed back in a chain, which table_bury frees once the lock is
 * released. Every operation holds the lock for a bounded time, however many entries there
 * are: a table that grows moves a few entries with each new one. */
#ifndef LUAFCGID2_POOL_TABLE_H
#define LUAFCGID2_POOL_TABLE_H

#include "base/hash.h"
#include "base/list.h"
#include "pool/entry.h"
#include "pool/lock.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TABLE_BATCH = 32 }; /* entries that a walk takes with the lock held once */

struct table {
    struct hash entries;     /* by path and root */
    struct link all, ghosts; /* ghosts: the oldest first */
    size_t ghost_count;
    int ghost_limit; /* LuaTotalStates as the last request had it */
    uint32_t seed;   /* immutable */
};

void table_init(struct table *t);
void table_destroy(struct table *t); /* when there are no entries */

/* The key to look for; borrows `path` and `root`. No lock needed. */
struct entry_key table_key(const struct table *t, const char *path, const char *root);

/* NULL: not there. */
struct entry *table_find_locked(struct table *t, const struct entry_key *key);

/* The key must not be there. A walk that is under way does not meet the new entry. Cannot
 * fail. */
void table_insert_locked(struct table *t, struct entry *e);

/* Pins the entry. While it is pinned it is no ghost. */
void table_pin_locked(struct table *t, struct entry *e);

/* To be called after a pin or a place was given back, or a state was closed. An entry
 * that has none of them becomes a ghost if there is something to remember; else it is
 * dropped. Dropped entries, the oldest ghosts among them, are put in front of the chain
 * `*dead`. */
void table_settle_locked(struct table *t, struct entry *e, struct entry **dead);

/* Frees such a chain. No lock held. */
void table_bury(struct entry *dead);

/* A walk over all entries. No lock is held while the caller looks at a batch; its entries
 * are pinned until the next call. */
struct table_walk {
    struct table *table;
    struct lock *lock;
    struct entry *batch[TABLE_BATCH];
    int states[TABLE_BATCH]; /* places that the entry had */
    size_t n;
};

/* Takes the next batch. Returns how many entries it has; 0: all were seen. A walk that
 * was begun must go on until then, or its pins stay. A walk that is zero but for table
 * and lock is at the start. */
size_t table_walk(struct table_walk *w);

#endif
