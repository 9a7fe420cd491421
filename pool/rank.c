/* Whose idle state is evicted. Workers, the sweeper and threads that evict states to gain
 * memory call this. They hold the pool's lock, which guards all of it. Each operation
 * takes constant time, because there is one list for each possible rank. */
#include "pool/rank.h"

enum { EVICTIONS_PER_AGE = 128 };

void ranks_init(struct ranks *r)
{
    for (int i = 0; i < RANK_BUCKETS; i++)
        list_init(&r->buckets[i]);
    r->age = r->evictions = 0;
}

static struct link *bucket_locked(struct ranks *r, unsigned rank)
{
    return &r->buckets[rank % RANK_BUCKETS];
}

/* An entry that nobody has asked for since may have a rank below the age. */
static unsigned rank_locked(const struct ranks *r, const struct entry *e)
{
    return e->rank > r->age ? e->rank : r->age;
}

void rank_enter_locked(struct ranks *r, struct entry *e)
{
    e->rank = r->age;
}

void rank_promote_locked(struct ranks *r, struct entry *e)
{
    unsigned rank = rank_locked(r, e) + 1;
    unsigned top = r->age + RANK_BUCKETS - 1;
    e->rank = rank < top ? rank : top;
}

void rank_order_locked(struct ranks *r, struct entry *e)
{
    list_remove(&e->order);
    list_append(bucket_locked(r, rank_locked(r, e)), &e->order);
}

struct entry *rank_lowest_locked(struct ranks *r)
{
    for (unsigned rank = r->age; rank != r->age + RANK_BUCKETS; rank++) {
        struct link *bucket = bucket_locked(r, rank);
        if (!list_is_empty(bucket))
            return CONTAINER(struct entry, order, bucket->next);
    }
    return NULL;
}

/* The lowest list joins the next, ahead of those that are there already. */
static void grow_older_locked(struct ranks *r)
{
    struct link *lowest = bucket_locked(r, r->age);
    r->age++;
    list_splice(bucket_locked(r, r->age), lowest);
}

void rank_count_eviction_locked(struct ranks *r, int total_states)
{
    unsigned per_age = (unsigned)total_states;
    if (per_age < EVICTIONS_PER_AGE)
        per_age = EVICTIONS_PER_AGE;
    if (++r->evictions < per_age)
        return;
    r->evictions = 0;
    grow_older_locked(r);
}
