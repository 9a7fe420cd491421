/* Ranks: whose idle state is evicted when the pool is full. It is the oldest idle state
 * of the entry with the lowest rank.
 *
 * A rank is the pool's age plus one for each checkout of the entry. The age goes up by
 * one after a number of evictions, which makes every earlier rank worth one less. A new
 * entry starts with the age alone. So a crawler that asks once for every script evicts
 * only the scripts that it brought in itself, and a script that was popular long ago is
 * evicted in the end. Ghosts keep their rank.
 *
 * The pool's lock guards the ranks and, in each entry, `rank`, and `order` while the
 * entry has idle states. */
#ifndef LUAFCGID2_POOL_RANK_H
#define LUAFCGID2_POOL_RANK_H

#include "base/list.h"
#include "pool/entry.h"

enum { RANK_BUCKETS = 64 }; /* ranks lie between age and age + 63 */

struct ranks {
    struct link buckets[RANK_BUCKETS]; /* entries with idle states, by rank */
    unsigned age, evictions;
};

void ranks_init(struct ranks *r);

/* The rank of a new entry. */
void rank_enter_locked(struct ranks *r, struct entry *e);

/* The entry was checked out once more. Does not move it in the order. */
void rank_promote_locked(struct ranks *r, struct entry *e);

/* The entry has idle states: puts it behind the others of its rank. */
void rank_order_locked(struct ranks *r, struct entry *e);

/* The first entry of the lowest rank. NULL: no entry has idle states. */
struct entry *rank_lowest_locked(struct ranks *r);

/* An eviction took place. The age goes up after `total_states` of them, or after 128 if
 * that is more. */
void rank_count_eviction_locked(struct ranks *r, int total_states);

#endif
