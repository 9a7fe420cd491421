/* A shard: sessions in a hash table, and in a list from the longest idle to the one used
 * last. Called by workers and the heartbeat with the shard's lock held; owns the sessions
 * that are in it.
 *
 * A table that grows moves a few buckets at each lookup, so that no request waits for all
 * of them. Cursors are moved on when their session leaves its place in the list: a walk
 * from the oldest to the newest sees every session that was there when it began. */
#include "store/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_BUCKETS 16
#define REHASH_STEP   4 /* buckets moved per lookup while a table grows */

int shard_init(struct shard *shard)
{
    int error = pthread_mutex_init(&shard->lock, NULL);
    if (error != 0)
        return error;
    shard->table.count = FIRST_BUCKETS;
    shard->table.buckets = calloc(FIRST_BUCKETS, sizeof(struct session *));
    if (shard->table.buckets != NULL)
        return 0;
    pthread_mutex_destroy(&shard->lock);
    return ENOMEM;
}

void shard_destroy(struct shard *shard)
{
    free(shard->table.buckets);
    free(shard->old.buckets);
    pthread_mutex_destroy(&shard->lock);
}

/* Without early exit, so that the time says nothing of how much was right. */
static bool same_id(const struct session_id *a, const struct session_id *b)
{
    unsigned difference = 0;
    for (size_t i = 0; i < sizeof a->hash; i++)
        difference |= (unsigned)a->hash[i] ^ b->hash[i];
    return difference == 0;
}

/* -- The table -- */

static struct session **bucket_locked(const struct shard_table *t,
                                      const struct session_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->hash, sizeof hash);
    return &t->buckets[hash & (t->count - 1)];
}

static void table_insert_locked(struct shard_table *t, struct session *s)
{
    struct session **bucket = bucket_locked(t, &s->id);
    s->next = *bucket;
    *bucket = s;
}

static void move_bucket_locked(struct shard *shard)
{
    struct session *s = shard->old.buckets[shard->moved];
    shard->old.buckets[shard->moved++] = NULL;
    while (s != NULL) {
        struct session *next = s->next;
        table_insert_locked(&shard->table, s);
        s = next;
    }
}

static void rehash_step_locked(struct shard *shard)
{
    if (shard->old.buckets == NULL)
        return;
    for (int i = 0; i < REHASH_STEP && shard->moved < shard->old.count; i++)
        move_bucket_locked(shard);
    if (shard->moved == shard->old.count) {
        free(shard->old.buckets);
        shard->old = (struct shard_table){0};
    }
}

/* Without memory for a larger table the old one serves on, more slowly. */
static void grow_locked(struct shard *shard)
{
    size_t count = shard->table.count * 2;
    struct session **buckets = calloc(count, sizeof(struct session *));
    if (buckets == NULL)
        return;
    shard->old = shard->table;
    shard->table = (struct shard_table){buckets, count};
    shard->moved = 0;
}

/* The pointer in the table's chain that points to the session, or ends the chain. */
static struct session **chain_locked(const struct shard_table *t,
                                     const struct session_id *id)
{
    struct session **link = bucket_locked(t, id);
    while (*link != NULL && !same_id(&(*link)->id, id))
        link = &(*link)->next;
    return link;
}

static struct session **link_locked(struct shard *shard, const struct session_id *id)
{
    rehash_step_locked(shard);
    struct session **link = chain_locked(&shard->table, id);
    if (*link == NULL && shard->old.buckets != NULL)
        link = chain_locked(&shard->old, id);
    return link;
}

/* -- The list -- */

static void list_append_locked(struct shard *shard, struct session *s)
{
    s->older = shard->newest;
    s->newer = NULL;
    if (s->older != NULL)
        s->older->newer = s;
    else
        shard->oldest = s;
    shard->newest = s;
}

static void list_remove_locked(struct shard *shard, struct session *s)
{
    for (int i = 0; i < SHARD_CURSORS; i++)
        if (shard->cursor[i] == s)
            shard->cursor[i] = s->newer;
    if (s->older != NULL)
        s->older->newer = s->newer;
    else
        shard->oldest = s->newer;
    if (s->newer != NULL)
        s->newer->older = s->older;
    else
        shard->newest = s->older;
}

/* -- Both -- */

struct session *shard_find_locked(struct shard *shard, const struct session_id *id)
{
    return *link_locked(shard, id);
}

void shard_insert_locked(struct shard *shard, struct session *s)
{
    rehash_step_locked(shard);
    if (shard->count >= shard->table.count && shard->old.buckets == NULL)
        grow_locked(shard);
    table_insert_locked(&shard->table, s);
    list_append_locked(shard, s);
    shard->count++;
    shard->changed = true;
}

struct session *shard_remove_locked(struct shard *shard, const struct session_id *id)
{
    struct session **link = link_locked(shard, id);
    struct session *s = *link;
    if (s == NULL)
        return NULL;
    *link = s->next;
    list_remove_locked(shard, s);
    shard->count--;
    shard->changed = true;
    return s;
}

/* The newest stays where it is: a cursor that stands on it has no next place to go to,
 * and would never come to it again. */
void shard_touch_locked(struct shard *shard, struct session *s, int64_t now)
{
    s->used = now;
    shard->touched = true;
    if (s == shard->newest)
        return;
    list_remove_locked(shard, s);
    list_append_locked(shard, s);
}
