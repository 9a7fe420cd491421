/* Shared values: hash tables, each with a list from the longest unused to the one used
 * last. Called by workers; each shard's lock guards what is in it.
 *
 * The size of all and the clock of uses are atomic. So is, of each shard, when its oldest
 * value was used: whoever makes room looks at those without any lock, and locks the shard
 * of the oldest. A value that was used meanwhile stays. None of them has more than 32
 * bits where a processor changes no more at once; then the clock wraps around. */
#include "store/shared.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SWEEP_STEP 200 /* values of a shard that one tick looks at */

struct entry {
    struct hash_link by_key;
    struct link by_use; /* in the shard's list, or in one of those that are to be freed */
    struct link mortal; /* in the shard's list, if it expires */
    unsigned long used; /* the clock of uses */
    int64_t expires;    /* ms of base/clock.h; 0: never */
    struct shared_value value; /* its text is in `bytes` */
    size_t key_len;
    char bytes[]; /* key, then text */
};

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct hash by_key;       /* lock */
    struct link by_use;       /* lock; the oldest first */
    struct link mortals;      /* lock; what expires, the next to be looked at first */
    atomic_ulong oldest_used; /* written under the lock, as is the next */
    atomic_bool empty;
};

static struct shard shards[SHARED_SHARDS];
static pthread_once_t once = PTHREAD_ONCE_INIT;
static _Alignas(64) atomic_ulong clock_of_uses;
static _Alignas(64) atomic_size_t size_of_all;

static void init(void)
{
    for (int i = 0; i < SHARED_SHARDS; i++) {
        pthread_mutex_init(&shards[i].lock, NULL);
        list_init(&shards[i].by_use);
        list_init(&shards[i].mortals);
        atomic_init(&shards[i].empty, true);
    }
}

/* -- Entries -- */

static size_t size_of(const struct entry *e)
{
    size_t text = e->value.type == SHARED_STRING ? e->value.text.len : 0;
    return e->key_len + text + SHARED_OVERHEAD;
}

static uint64_t size_needed(struct bytes key, const struct shared_value *value)
{
    size_t text = value->type == SHARED_STRING ? value->text.len : 0;
    return (uint64_t)key.len + text + SHARED_OVERHEAD;
}

/* NULL: out of memory. */
static struct entry *create(struct bytes key, const struct shared_value *value,
                            int64_t life)
{
    size_t text = value->type == SHARED_STRING ? value->text.len : 0;
    struct entry *e = malloc(sizeof *e + key.len + text);
    if (e == NULL)
        return NULL;
    *e = (struct entry){.value = *value, .key_len = key.len};
    e->expires = life == 0 ? 0 : clock_milliseconds() + life;
    memcpy(e->bytes, key.data, key.len);
    if (value->type == SHARED_STRING) {
        memcpy(e->bytes + key.len, value->text.data, text);
        e->value.text.data = e->bytes + key.len;
    }
    return e;
}

static void free_all(struct link *entries)
{
    while (!list_is_empty(entries)) {
        struct entry *e = CONTAINER(struct entry, by_use, entries->next);
        list_remove(&e->by_use);
        free(e);
    }
}

/* -- Shards -- */

struct place {
    struct shard *shard;
    struct bytes key;
    uint32_t hash;
};

static struct place place_of(struct bytes key)
{
    pthread_once(&once, init);
    uint32_t hash = hash_bytes(key.data, key.len);
    /* The table takes the low bits. */
    return (struct place){&shards[hash >> 28 & (SHARED_SHARDS - 1)], key, hash};
}

static void note_oldest_locked(struct shard *s)
{
    bool empty = list_is_empty(&s->by_use);
    if (!empty)
        atomic_store_explicit(&s->oldest_used,
                              CONTAINER(struct entry, by_use, s->by_use.next)->used,
                              memory_order_relaxed);
    atomic_store_explicit(&s->empty, empty, memory_order_relaxed);
}

static void touch_locked(struct shard *s, struct entry *e)
{
    e->used = atomic_fetch_add_explicit(&clock_of_uses, 1, memory_order_relaxed);
    bool was_oldest = s->by_use.next == &e->by_use;
    if (e->by_use.next != &s->by_use) {
        list_remove(&e->by_use);
        list_append(&s->by_use, &e->by_use);
    }
    if (was_oldest)
        note_oldest_locked(s);
}

static void insert_locked(const struct place *p, struct entry *e)
{
    struct shard *s = p->shard;
    hash_insert(&s->by_key, &e->by_key, p->hash);
    list_init(&e->by_use);
    list_append(&s->by_use, &e->by_use);
    list_init(&e->mortal);
    if (e->expires != 0)
        list_append(&s->mortals, &e->mortal);
    e->used = atomic_fetch_add_explicit(&clock_of_uses, 1, memory_order_relaxed);
    if (s->by_use.next == &e->by_use)
        note_oldest_locked(s);
    atomic_fetch_add_explicit(&size_of_all, size_of(e), memory_order_relaxed);
}

/* Moves it to those that are to be freed. */
static void remove_locked(struct shard *s, struct entry *e, struct link *removed)
{
    bool was_oldest = s->by_use.next == &e->by_use;
    hash_remove(&s->by_key, &e->by_key);
    list_remove(&e->mortal);
    list_remove(&e->by_use);
    list_append(removed, &e->by_use);
    if (was_oldest)
        note_oldest_locked(s);
    atomic_fetch_sub_explicit(&size_of_all, size_of(e), memory_order_relaxed);
}

static bool is_over(const struct entry *e)
{
    return e->expires != 0 && clock_milliseconds() >= e->expires;
}

/* NULL: there is none. One whose time is over goes. */
static struct entry *find_locked(const struct place *p, struct link *removed)
{
    struct hash_link *l = hash_find(&p->shard->by_key, p->hash);
    for (; l != NULL; l = hash_next(l)) {
        struct entry *e = CONTAINER(struct entry, by_key, l);
        if (e->key_len != p->key.len || memcmp(e->bytes, p->key.data, p->key.len) != 0)
            continue;
        if (!is_over(e))
            return e;
        remove_locked(p->shard, e, removed);
        return NULL;
    }
    return NULL;
}

/* -- Room -- */

static struct shard *shard_of_oldest(void)
{
    struct shard *found = NULL;
    unsigned long oldest = 0; /* uses ago */
    unsigned long now = atomic_load_explicit(&clock_of_uses, memory_order_relaxed);
    for (int i = 0; i < SHARED_SHARDS; i++) {
        struct shard *s = &shards[i];
        if (atomic_load_explicit(&s->empty, memory_order_relaxed))
            continue;
        unsigned long age =
            now - atomic_load_explicit(&s->oldest_used, memory_order_relaxed);
        if (age > ULONG_MAX / 2) /* used after `now` was read */
            age = 0;
        if (found == NULL || age > oldest) {
            oldest = age;
            found = s;
        }
    }
    return found;
}

/* Under no lock. */
static void make_room(int64_t max)
{
    struct link removed;
    list_init(&removed);
    while (max > 0 &&
           atomic_load_explicit(&size_of_all, memory_order_relaxed) > (uint64_t)max) {
        struct shard *s = shard_of_oldest();
        if (s == NULL)
            break;
        pthread_mutex_lock(&s->lock);
        if (!list_is_empty(&s->by_use))
            remove_locked(s, CONTAINER(struct entry, by_use, s->by_use.next), &removed);
        pthread_mutex_unlock(&s->lock);
        free_all(&removed);
    }
}

/* -- Comparing and adding -- */

static double number_of(const struct shared_value *v)
{
    return v->type == SHARED_INTEGER ? (double)v->integer : v->number;
}

static bool is_number(const struct shared_value *v)
{
    return v->type == SHARED_INTEGER || v->type == SHARED_FLOAT;
}

/* Whether an integer and a float are the same number: the float is one that an integer
 * can be, and is that. */
static bool same_number(int64_t i, double d)
{
    return d >= -9223372036854775808.0 && d < 9223372036854775808.0 && (int64_t)d == i &&
           (double)(int64_t)d == d;
}

static bool is_equal(const struct shared_value *a, const struct shared_value *b)
{
    if (a->type == SHARED_INTEGER && b->type == SHARED_FLOAT)
        return same_number(a->integer, b->number);
    if (a->type == SHARED_FLOAT && b->type == SHARED_INTEGER)
        return same_number(b->integer, a->number);
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case SHARED_BOOLEAN:
        return a->boolean == b->boolean;
    case SHARED_INTEGER:
        return a->integer == b->integer;
    case SHARED_FLOAT:
        return a->number == b->number;
    case SHARED_STRING:
        return a->text.len == b->text.len &&
               memcmp(a->text.data, b->text.data, a->text.len) == 0;
    case SHARED_NIL:
        break;
    }
    return true;
}

static struct shared_value sum(const struct shared_value *a, const struct shared_value *b)
{
    if (a->type == SHARED_INTEGER && b->type == SHARED_INTEGER)
        return (struct shared_value){
            .type = SHARED_INTEGER,
            .integer = (int64_t)((uint64_t)a->integer + (uint64_t)b->integer)};
    return (struct shared_value){.type = SHARED_FLOAT,
                                 .number = number_of(a) + number_of(b)};
}

/* -- Storing -- */

/* Stores `e`, or deletes when it is NULL, if the present value equals `old`; NULL:
 * whatever it is. With `keep` the time of the present value goes on. Takes `e` over. */
static enum shared_result replace(struct bytes key, const struct shared_value *old,
                                  struct entry *e, bool keep)
{
    static const struct shared_value nothing = {.type = SHARED_NIL};
    struct place p = place_of(key);
    struct link removed;
    list_init(&removed);
    pthread_mutex_lock(&p.shard->lock);
    struct entry *present = find_locked(&p, &removed);
    bool fits =
        old == NULL || is_equal(present == NULL ? &nothing : &present->value, old);
    if (fits && present != NULL) {
        if (keep && e != NULL)
            e->expires = present->expires;
        remove_locked(p.shard, present, &removed);
    }
    if (fits && e != NULL)
        insert_locked(&p, e);
    pthread_mutex_unlock(&p.shard->lock);
    if (!fits)
        free(e);
    free_all(&removed);
    return fits ? SHARED_DONE : SHARED_REFUSED;
}

static enum shared_result store(struct bytes key, const struct shared_value *old,
                                const struct shared_value *value,
                                struct shared_terms terms, bool keep)
{
    struct entry *e = NULL;
    if (value->type != SHARED_NIL) {
        if (terms.max > 0 && size_needed(key, value) > (uint64_t)terms.max)
            return SHARED_TOO_LARGE;
        e = create(key, value, terms.life);
        if (e == NULL)
            return SHARED_NO_MEMORY;
    }
    enum shared_result result = replace(key, old, e, keep);
    if (result == SHARED_DONE)
        make_room(terms.max);
    return result;
}

enum shared_result shared_set(struct bytes key, const struct shared_value *value,
                              struct shared_terms terms)
{
    return store(key, NULL, value, terms, false);
}

enum shared_result shared_add(struct bytes key, const struct shared_value *value,
                              struct shared_terms terms)
{
    static const struct shared_value nothing = {.type = SHARED_NIL};
    return store(key, &nothing, value, terms, false);
}

enum shared_result shared_swap(struct bytes key, const struct shared_value *old,
                               const struct shared_value *value,
                               struct shared_terms terms)
{
    return store(key, old, value, terms, true);
}

bool shared_delete(struct bytes key)
{
    struct place p = place_of(key);
    struct link removed;
    list_init(&removed);
    pthread_mutex_lock(&p.shard->lock);
    struct entry *e = find_locked(&p, &removed);
    if (e != NULL)
        remove_locked(p.shard, e, &removed);
    pthread_mutex_unlock(&p.shard->lock);
    free_all(&removed);
    return e != NULL;
}

/* false: there is no value. */
static bool increase_present(const struct place *p, const struct shared_value *by,
                             struct shared_value *result)
{
    struct link removed;
    list_init(&removed);
    pthread_mutex_lock(&p->shard->lock);
    struct entry *e = find_locked(p, &removed);
    if (e != NULL) {
        if (is_number(&e->value))
            e->value = sum(&e->value, by);
        *result = e->value;
        touch_locked(p->shard, e);
    }
    pthread_mutex_unlock(&p->shard->lock);
    free_all(&removed);
    return e != NULL;
}

/* When another thread has added one in between, that is increased. */
enum shared_result shared_increase(struct bytes key, const struct shared_value *by,
                                   const struct shared_value *init_value,
                                   struct shared_terms terms, struct shared_value *result)
{
    struct place p = place_of(key);
    enum shared_result done = SHARED_DONE;
    while (!increase_present(&p, by, result)) {
        *result = sum(init_value, by);
        done = shared_add(key, result, terms);
        if (done != SHARED_REFUSED)
            return done;
    }
    return is_number(result) ? SHARED_DONE : SHARED_NO_NUMBER;
}

/* -- Reading -- */

struct shared_value shared_get(struct bytes key, void *data, size_t room)
{
    struct shared_value value = {.type = SHARED_NIL};
    struct place p = place_of(key);
    struct link removed;
    list_init(&removed);
    pthread_mutex_lock(&p.shard->lock);
    struct entry *e = find_locked(&p, &removed);
    if (e != NULL) {
        touch_locked(p.shard, e);
        value = e->value;
        if (value.type == SHARED_STRING && value.text.len <= room)
            memcpy(data, value.text.data, value.text.len);
    }
    pthread_mutex_unlock(&p.shard->lock);
    free_all(&removed);
    if (value.type == SHARED_STRING)
        value.text.data = data;
    return value;
}

static bool begins_with(const struct entry *e, struct bytes prefix)
{
    return e->key_len >= prefix.len && memcmp(e->bytes, prefix.data, prefix.len) == 0;
}

size_t shared_keys(unsigned shard, struct bytes prefix, char *data, size_t room)
{
    pthread_once(&once, init);
    struct shard *s = &shards[shard % SHARED_SHARDS];
    size_t needed = 0;
    pthread_mutex_lock(&s->lock);
    for (struct link *l = s->by_use.next; l != &s->by_use; l = l->next) {
        const struct entry *e = CONTAINER(struct entry, by_use, l);
        if (begins_with(e, prefix) && !is_over(e))
            needed += sizeof e->key_len + e->key_len;
    }
    size_t at = 0;
    for (struct link *l = s->by_use.next; l != &s->by_use && needed <= room;
         l = l->next) {
        const struct entry *e = CONTAINER(struct entry, by_use, l);
        size_t size = sizeof e->key_len + e->key_len;
        if (!begins_with(e, prefix) || is_over(e) || size > needed - at)
            continue;
        memcpy(data + at, &e->key_len, sizeof e->key_len);
        memcpy(data + at + sizeof e->key_len, e->bytes, e->key_len);
        at += size;
    }
    pthread_mutex_unlock(&s->lock);
    return needed <= room ? at : needed;
}

/* -- The heartbeat -- */

static void sweep_locked(struct shard *s, struct link *removed)
{
    for (int i = 0; i < SWEEP_STEP && !list_is_empty(&s->mortals); i++) {
        struct entry *e = CONTAINER(struct entry, mortal, s->mortals.next);
        list_remove(&e->mortal);
        list_append(&s->mortals, &e->mortal);
        if (is_over(e))
            remove_locked(s, e, removed);
    }
}

void shared_tick(void)
{
    struct link removed;
    list_init(&removed);
    pthread_once(&once, init);
    for (int i = 0; i < SHARED_SHARDS; i++) {
        pthread_mutex_lock(&shards[i].lock);
        sweep_locked(&shards[i], &removed);
        pthread_mutex_unlock(&shards[i].lock);
        free_all(&removed);
    }
}

size_t shared_count(void)
{
    size_t count = 0;
    pthread_once(&once, init);
    for (int i = 0; i < SHARED_SHARDS; i++) {
        pthread_mutex_lock(&shards[i].lock);
        count += shards[i].by_key.count;
        pthread_mutex_unlock(&shards[i].lock);
    }
    return count;
}

uint64_t shared_size(void)
{
    return atomic_load(&size_of_all);
}

void shared_clear(void)
{
    struct link removed;
    list_init(&removed);
    pthread_once(&once, init);
    for (int i = 0; i < SHARED_SHARDS; i++) {
        struct shard *s = &shards[i];
        pthread_mutex_lock(&s->lock);
        while (!list_is_empty(&s->by_use))
            remove_locked(s, CONTAINER(struct entry, by_use, s->by_use.next), &removed);
        hash_free(&s->by_key);
        pthread_mutex_unlock(&s->lock);
    }
    free_all(&removed);
}
