/* Entries by path. Workers look them up, and the sweeper walks over them. A thread that
 * gives back what kept an entry alive settles it. The pool's lock guards everything here;
 * files and Lua are not touched. */
#include "pool/table.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

void table_init(struct table *t)
{
    *t = (struct table){.seed = (uint32_t)((uintptr_t)t >> 4) ^
                                (uint32_t)clock_nanoseconds()};
    list_init(&t->all);
    list_init(&t->ghosts);
}

void table_destroy(struct table *t)
{
    hash_free(&t->entries);
}

/* -- Finding -- */

/* Mixes 8 bytes at a time; this runs twice for every request. Clients can choose only
 * among the scripts that are there, so it need not be as strong as hash_bytes. */
static uint64_t mix(uint64_t h, const char *data, size_t len)
{
    while (len > 0) {
        uint64_t word = 0;
        size_t n = len < sizeof word ? len : sizeof word;
        memcpy(&word, data, n);
        h = (h ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        h ^= h >> 29;
        data += n;
        len -= n;
    }
    return (h ^ (h >> 32)) * UINT64_C(0x9e3779b97f4a7c15);
}

struct entry_key table_key(const struct table *t, const char *path, const char *root)
{
    struct entry_key k = {path, root, strlen(path), strlen(root), 0};
    k.hash = (uint32_t)(mix(mix(t->seed, path, k.path_len), root, k.root_len) >> 32);
    return k;
}

static bool is_same(const struct entry_key *a, const struct entry_key *b)
{
    return a->path_len == b->path_len && a->root_len == b->root_len &&
           memcmp(a->path, b->path, a->path_len) == 0 &&
           memcmp(a->root, b->root, a->root_len) == 0;
}

struct entry *table_find_locked(struct table *t, const struct entry_key *key)
{
    for (struct hash_link *l = hash_find(&t->entries, key->hash); l != NULL;
         l = hash_next(l)) {
        struct entry *e = CONTAINER(struct entry, in_table, l);
        if (is_same(&e->key, key))
            return e;
    }
    return NULL;
}

void table_insert_locked(struct table *t, struct entry *e)
{
    hash_insert(&t->entries, &e->in_table, e->key.hash);
    list_insert_after(&t->all, &e->all); /* in front, where no walk comes any more */
}

/* -- Leaving -- */

static void unghost_locked(struct table *t, struct entry *e)
{
    if (!e->ghost)
        return;
    list_remove(&e->order);
    e->ghost = false;
    t->ghost_count--;
}

void table_pin_locked(struct table *t, struct entry *e)
{
    unghost_locked(t, e);
    e->pins++;
}

static void drop_locked(struct table *t, struct entry *e, struct entry **dead)
{
    unghost_locked(t, e);
    hash_remove(&t->entries, &e->in_table);
    list_remove(&e->all);
    e->next = *dead;
    *dead = e;
}

/* At most two ghosts are dropped for one that comes, so that the lock is not held for
 * long after the limit was lowered. A pinned ghost goes to the end of the list instead: a
 * stuck sweeper may hold its pin for long. */
static void limit_ghosts_locked(struct table *t, struct entry **dead)
{
    for (int i = 0; i < 2 && t->ghost_count > (size_t)t->ghost_limit; i++) {
        struct entry *oldest = CONTAINER(struct entry, order, t->ghosts.next);
        if (oldest->pins > 0) {
            list_remove(&oldest->order);
            list_append(&t->ghosts, &oldest->order);
        } else {
            drop_locked(t, oldest, dead);
        }
    }
}

void table_settle_locked(struct table *t, struct entry *e, struct entry **dead)
{
    if (e->pins > 0 || e->kept > 0 || e->extra > 0 || e->closing > 0)
        return;
    /* What was loaded once is remembered for its figures. */
    if (e->version == NULL && e->figures.loads == 0) {
        drop_locked(t, e, dead);
        return;
    }
    if (!e->ghost) {
        e->ghost = true;
        list_append(&t->ghosts, &e->order);
        t->ghost_count++;
    }
    limit_ghosts_locked(t, dead);
}

void table_bury(struct entry *dead)
{
    while (dead != NULL) {
        struct entry *next = dead->next;
        entry_free(dead);
        dead = next;
    }
}

/* -- Walking -- */

/* The pin of the batch's last entry keeps the place in the list, so the next batch is
 * pinned before this one is released. A ghost that a walk has pinned stays a ghost. */
size_t table_walk(struct table_walk *w)
{
    struct table *t = w->table;
    struct entry *before[TABLE_BATCH], *dead = NULL;
    size_t n_before = w->n;
    memcpy(before, w->batch, sizeof before);
    lock_acquire(w->lock);
    struct link *l = n_before > 0 ? before[n_before - 1]->all.next : t->all.next;
    for (w->n = 0; w->n < TABLE_BATCH && l != &t->all; l = l->next) {
        struct entry *e = CONTAINER(struct entry, all, l);
        e->pins++;
        w->states[w->n] = e->kept + e->extra;
        w->batch[w->n++] = e;
    }
    for (size_t i = 0; i < n_before; i++) {
        before[i]->pins--;
        table_settle_locked(t, before[i], &dead);
    }
    lock_release(w->lock);
    table_bury(dead);
    return w->n;
}
