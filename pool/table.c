/* Entries by path. Workers look them up, the sweeper walks over them, and whoever gives
 * back what kept an entry alive settles it. The pool's lock guards everything here; files
 * and Lua are not touched. */
#include "pool/table.h"

#include "base/clock.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 64 };

bool table_init(struct table *t)
{
    *t =
        (struct table){.now = {calloc(FIRST_SLOTS, sizeof(struct entry *)), FIRST_SLOTS}};
    if (t->now.at == NULL)
        return false;
    list_init(&t->all);
    list_init(&t->ghosts);
    t->seed = (uint32_t)((uintptr_t)t >> 4) ^ (uint32_t)clock_nanoseconds();
    return true;
}

void table_destroy(struct table *t)
{
    free(t->old.at);
    free(t->now.at);
}

/* -- Finding -- */

/* Mixes 8 bytes at a time; this runs twice for every request. */
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

static struct entry **slot_locked(struct table *t, uint32_t hash)
{
    size_t i = hash & (t->old.size - 1);
    if (t->old.at != NULL && i >= t->moved)
        return &t->old.at[i];
    return &t->now.at[hash & (t->now.size - 1)];
}

static bool is_same(const struct entry_key *a, const struct entry_key *b)
{
    return a->hash == b->hash && a->path_len == b->path_len &&
           a->root_len == b->root_len && memcmp(a->path, b->path, a->path_len) == 0 &&
           memcmp(a->root, b->root, a->root_len) == 0;
}

struct entry *table_find_locked(struct table *t, const struct entry_key *key)
{
    struct entry *e = *slot_locked(t, key->hash);
    while (e != NULL && !is_same(&e->key, key))
        e = e->next;
    return e;
}

/* -- Growing -- */

static void link_locked(struct table *t, struct entry *e)
{
    struct entry **slot = slot_locked(t, e->key.hash);
    e->next = *slot;
    *slot = e;
}

/* Moves one slot of the old table. Each new entry moves two, so all are moved before the
 * table has to grow again. */
static void move_locked(struct table *t)
{
    if (t->old.at == NULL)
        return;
    struct entry *e = t->old.at[t->moved++];
    while (e != NULL) {
        struct entry *next = e->next;
        link_locked(t, e);
        e = next;
    }
    if (t->moved == t->old.size) {
        free(t->old.at);
        t->old = (struct table_slots){0};
    }
}

/* Without memory the chains become longer instead. */
static void grow_locked(struct table *t)
{
    size_t size = 2 * t->now.size;
    struct entry **at = calloc(size, sizeof(struct entry *));
    if (at == NULL)
        return;
    t->old = t->now;
    t->moved = 0;
    t->now = (struct table_slots){at, size};
}

void table_insert_locked(struct table *t, struct entry *e)
{
    move_locked(t);
    move_locked(t);
    if (t->count >= t->now.size && t->old.at == NULL)
        grow_locked(t);
    link_locked(t, e);
    list_insert_after(&t->all, &e->all); /* in front, where no walk comes any more */
    t->count++;
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
    struct entry **at = slot_locked(t, e->key.hash);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->all);
    t->count--;
    e->next = *dead;
    *dead = e;
}

/* At most two ghosts leave for one that comes, so that a lowered limit does not mean that
 * the lock is held for long. A pinned one gets another turn: a sweeper that is stuck may
 * have it for long. */
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
    if (e->version == NULL) {
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

/* The pin of the batch's last entry keeps the place in the list: so the next batch is
 * pinned before this one is let go. A ghost
 * that is pinned by a walk stays a ghost. */
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
