/* Ranks: whose idle state goes when the pool is full. It is the oldest one of the entry
 * with the lowest rank.
 *
 * A rank is the pool's age plus what the entry has earned: one for each checkout. The age
 * goes up by one after so many evictions; that makes every rank worth one less. A new
 * entry starts with the age alone. So a crawl over scripts that nobody else asks for
 * evicts only what it brought in itself, and a script that was popular long ago is
 * forgotten in the end. Ghosts keep their rank.
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

/* One checkout more. Does not put the entry in order. */
void rank_promote_locked(struct ranks *r, struct entry *e);

/* The entry has idle states: puts it behind the others of its rank. */
void rank_order_locked(struct ranks *r, struct entry *e);

/* The first one of the lowest rank; NULL: no entry has idle states. */
struct entry *rank_lowest_locked(struct ranks *r);

/* An eviction took place. The age goes up after `total_states` of them, or after 128 if
 * that is more. */
void rank_count_eviction_locked(struct ranks *r, int total_states);

#endif
