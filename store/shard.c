/* A shard: sessions in a hash table, and in a list from the longest idle to the one used
 * last. Called by workers, the heartbeat and the saver with the shard's lock held; owns
 * the sessions that are in it.
 *
 * A cursor is moved on when its session leaves its place in the list: so a walk from the
 * oldest to the newest sees every session that was there when it began. */
#include "store/shard.h"

#include <string.h>

int shard_init(struct shard *shard)
{
    memset(shard, 0, sizeof *shard);
    list_init(&shard->by_use);
    return pthread_mutex_init(&shard->lock, NULL);
}

void shard_destroy(struct shard *shard)
{
    hash_free(&shard->by_id);
    pthread_mutex_destroy(&shard->lock);
}

/* -- The table -- */

/* Compares all bytes, so that the time says nothing of how many were right. */
static bool same_id(const struct session_id *a, const struct session_id *b)
{
    unsigned difference = 0;
    for (size_t i = 0; i < sizeof a->hash; i++)
        difference |= (unsigned)a->hash[i] ^ b->hash[i];
    return difference == 0;
}

/* An id is a SHA-256: any part of it serves. */
static uint32_t hash_id(const struct session_id *id)
{
    uint32_t hash;
    memcpy(&hash, id->hash, sizeof hash);
    return hash;
}

struct session *shard_find_locked(struct shard *shard, const struct session_id *id)
{
    for (struct hash_link *l = hash_find(&shard->by_id, hash_id(id)); l != NULL;
         l = hash_next(l)) {
        struct session *s = CONTAINER(struct session, by_id, l);
        if (same_id(&s->id, id))
            return s;
    }
    return NULL;
}

/* -- The list -- */

struct session *shard_newer_locked(struct shard *shard, const struct session *s)
{
    struct link *l = s->by_use.next;
    return l == &shard->by_use ? NULL : CONTAINER(struct session, by_use, l);
}

struct session *shard_oldest_locked(struct shard *shard)
{
    struct link *l = shard->by_use.next;
    return l == &shard->by_use ? NULL : CONTAINER(struct session, by_use, l);
}

static void leave_list_locked(struct shard *shard, struct session *s)
{
    for (int i = 0; i < SHARD_CURSORS; i++)
        if (shard->cursor[i] == s)
            shard->cursor[i] = shard_newer_locked(shard, s);
    list_remove(&s->by_use);
}

/* -- Both -- */

void shard_insert_locked(struct shard *shard, struct session *s)
{
    hash_insert(&shard->by_id, &s->by_id, hash_id(&s->id));
    list_append(&shard->by_use, &s->by_use);
    shard->changed = true;
}

struct session *shard_remove_locked(struct shard *shard, const struct session_id *id)
{
    struct session *s = shard_find_locked(shard, id);
    if (s == NULL)
        return NULL;
    hash_remove(&shard->by_id, &s->by_id);
    leave_list_locked(shard, s);
    shard->changed = true;
    return s;
}

/* The newest session stays where it is. If a cursor stands on it, the cursor has no next
 * place, and the walk would not come to the session again. */
void shard_touch_locked(struct shard *shard, struct session *s, int64_t now)
{
    s->lease.used = now;
    shard->touched = true;
    if (s->by_use.next == &shard->by_use)
        return;
    leave_list_locked(shard, s);
    list_append(&shard->by_use, &s->by_use);
}
