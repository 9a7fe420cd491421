/* The table: entries found by path and document root, and which of them are remembered
 * when their last state is gone (ghosts).
 *
 * The pool's lock guards the table and its entries. The table owns the entries in it;
 * what it drops is handed back in a chain, to be freed by table_bury once the lock is
 * released. Every operation takes a bounded time under the lock, however many entries
 * there are: a table that grows moves a little with each new entry. */
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

/* The entry is pinned: it is no ghost while it is. */
void table_pin_locked(struct table *t, struct entry *e);

/* To be called when a pin, a place or a closing state was given back. An entry without
 * any of them becomes a ghost if there is something to remember, and else is dropped.
 * What was dropped, the oldest ghosts too, is put in front of the chain `*dead`. */
void table_settle_locked(struct table *t, struct entry *e, struct entry **dead);

/* Frees such a chain. No lock held. */
void table_bury(struct entry *dead);

/* A walk over all entries, with no lock held while the caller looks at them. Those of the
 * batch are pinned until the next call. */
struct table_walk {
    struct table *table;
    struct lock *lock;
    struct entry *batch[TABLE_BATCH];
    int states[TABLE_BATCH]; /* places that the entry had */
    size_t n;
};

/* The next entries, and how many; 0 when all were seen. A walk that was begun goes on
 * until then: else its pins stay. Zeroed but for table and lock, it is at the start. */
size_t table_walk(struct table_walk *w);

#endif
