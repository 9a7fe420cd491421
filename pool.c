/* The pool: every script in memory, and its idle Lua states.
 *
 * Workers check states out and in, the sweeper sweeps. An entry stands for one script
 * (path and document root). It owns what was compiled of it (struct version) and its
 * states. Every state kept has a slot, counted in its entry and in the pool from before
 * it is made until it goes to the closing room (pool/closer.h), so nobody waits for the
 * finalizers of another script. Whoever makes states of a script faster than they are
 * closed waits for that: what requests have sent there is counted, too.
 *
 * The pool's one lock guards everything here but what is marked otherwise. It is never
 * held while a function of the script room runs. An entry lives as long as it has a slot,
 * a pin (a thread at work on it), a state in the closing room, or something to remember;
 * with only the last it is a ghost, and of those there are at most LuaTotalStates, the
 * oldest leaving first.
 *
 * Which state goes when the pool is full: the oldest idle one of the entry with the
 * lowest rank. A rank counts an entry's checkouts above the pool's age; the age goes up
 * by one after so many evictions, which takes one from everybody. A newcomer starts at
 * the age itself, so a crawl over scripts asked for once only evicts what the crawl
 * brought in, and a script popular long ago is forgotten at last. Ghosts keep their rank.
 * Ranks lie between age and age + 63, so 64 lists hold the entries with idle states in
 * order. */
#include "pool.h"
#include "base/clock.h"
#include "base/log.h"
#include "lua/source.h"
#include "pool/closer.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    BUCKETS = 64,
    FIRST_SLOTS = 64,
    WALK_BATCH = 32,         /* entries looked at in one go with the lock held */
    EVICTIONS_PER_AGE = 128, /* at least; or as many as there are states */
};

static const int64_t retry_time = 5000000; /* ns; one of LuaMaxSearchRetries */

/* ns that a checkout waits, at most, for states of before to be closed: as long as one
 * may take for that. */
static const int64_t closing_patience = 1000000000;

/* Circular, with a sentinel. */
struct link {
    struct link *prev, *next;
};

#define CONTAINER(type, member, l) ((type *)(void *)((char *)(l)-offsetof(type, member)))

/* What a state's slot counts in. */
enum slot_kind { KEPT, EXTRA };

/* One Lua state. While it is checked out, only its owner touches this. */
struct state {
    struct closing closing; /* the closing room's */
    struct pool *pool;      /* immutable, for the closing room */
    bool charged;           /* it went there on a request's account */
    struct link link;       /* lock; in its entry's idle list, newest first */
    struct entry *entry;
    struct script *script;
    struct config *config; /* what it was made with; borrowed from the script */
    unsigned max_requests; /* 0: no limit */
    unsigned max_errors;   /* in a row; 0: no limit */
    int id;
    enum slot_kind kind;
};

/* What came of one compilation. Whoever starts it fills it in; others wait. Once `done`,
 * nothing changes any more. */
struct version {
    atomic_uint refs;
    bool done;                 /* lock */
    pthread_cond_t loaded;     /* lock */
    struct script_code *code;  /* NULL: it could not be read */
    struct script_error error; /* then: why */
    struct config *config;     /* what it was compiled with; counted */
};

struct entry {
    struct entry *next; /* in its slot of the hash table */
    struct link all;
    struct link order; /* in a bucket while it has idle states, or among the ghosts */
    struct link idle;
    struct version *version; /* being loaded or loaded; counted */
    pthread_cond_t returned; /* an idle state came, or room for another */
    unsigned rank;
    unsigned pins, waiters;
    unsigned examined; /* idle lists that the sweeper has taken out to look at */
    int kept, extra;   /* slots */
    int closing;       /* states in the closing room, */
    int charged;       /* of these on account of requests */
    bool ghost;
    uint32_t first_ids, *ids; /* bits of the ids in use */
    unsigned id_words;
    uint32_t hash; /* immutable, as are the following */
    size_t path_len, root_len;
    const char *root;
    char path[];
};

struct slots {
    struct entry **at; /* a power of two of them */
    size_t size;
};

struct pool {
    pthread_mutex_t lock;
    pthread_condattr_t monotonic;
    struct slots now,
        old; /* a grown table is moved to by and by: `old` from `moved` on */
    size_t moved, entries;
    struct link all, ghosts;
    size_t ghost_count;
    int ghost_limit; /* LuaTotalStates of the last one who asked */
    struct link buckets[BUCKETS];
    unsigned age, evictions;
    int kept, charged;
    uint32_t seed;        /* immutable */
    atomic_size_t states; /* made and not closed */

    /* What the sweeps before went by. */
    unsigned swept_epoch, swept_generation;
    bool swept_twice;
};

/* One checkout. */
struct search {
    struct pool *pool;
    const char *path, *root;
    size_t path_len, root_len;
    uint32_t hash;
    struct config *config;
    struct script_error *error;
    struct entry *entry;      /* pinned; NULL until something has to be made */
    struct version *version;  /* counted */
    int64_t deadline;         /* for a state to come back; 0: not waiting yet, */
    int64_t closing_deadline; /* and the same for others to be closed */
    bool ranked, loaded;
};

/* A place for a state to be made. */
struct place {
    int id;
    enum slot_kind kind;
    bool first;           /* the script had no state at all */
    struct state *victim; /* evicted for it */
};

static void list_init(struct link *list)
{
    list->prev = list->next = list;
}

static bool list_is_empty(const struct link *list)
{
    return list->next == list;
}

static void list_insert_after(struct link *at, struct link *l)
{
    l->prev = at;
    l->next = at->next;
    at->next->prev = l;
    at->next = l;
}

static void list_append(struct link *list, struct link *l)
{
    list_insert_after(list->prev, l);
}

static void list_remove(struct link *l)
{
    l->prev->next = l->next;
    l->next->prev = l->prev;
    list_init(l);
}

/* Moves all of `from` to behind `at`. */
static void list_splice(struct link *at, struct link *from)
{
    if (list_is_empty(from))
        return;
    from->next->prev = at;
    from->prev->next = at->next;
    at->next->prev = from->prev;
    at->next = from->next;
    list_init(from);
}

/* -- The lock -- */

static _Thread_local bool holding;

bool pool_is_locked_here(void)
{
    return holding;
}

static void lock(struct pool *p)
{
    assert(!holding);
    int error = pthread_mutex_lock(&p->lock);
    assert(error == 0);
    (void)error;
    holding = true;
}

static void unlock(struct pool *p)
{
    holding = false;
    pthread_mutex_unlock(&p->lock);
}

/* `until` is on the monotonic clock; 0 for no limit. */
static void wait_locked(struct pool *p, pthread_cond_t *cond, int64_t until)
{
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000),
                         .tv_nsec = (long)(until % 1000000000)};
    holding = false;
    if (until == 0)
        pthread_cond_wait(cond, &p->lock);
    else
        pthread_cond_timedwait(cond, &p->lock, &t);
    holding = true;
}

/* -- Errors -- */

static void set_error(struct script_error *error, int status, const char *message)
{
    error->status = status;
    error->message = message == NULL ? NULL : strdup(message);
}

static void out_of_memory(struct script_error *error)
{
    set_error(error, 500, "out of memory");
}

/* -- Versions -- */

static struct version *version_new(struct pool *p, struct config *config)
{
    struct version *v = calloc(1, sizeof *v);
    if (v == NULL || pthread_cond_init(&v->loaded, &p->monotonic) != 0) {
        free(v);
        return NULL;
    }
    atomic_init(&v->refs, 1);
    v->config = config_ref(config);
    return v;
}

static void version_unref(struct version *v)
{
    if (v == NULL || atomic_fetch_sub(&v->refs, 1) != 1)
        return;
    script_code_unref(v->code);
    script_error_clear(&v->error);
    config_unref(v->config);
    pthread_cond_destroy(&v->loaded);
    free(v);
}

/* Of one that is done and was read. Another configuration may confine or limit scripts
 * differently. */
static bool version_is_current(const struct version *v, const struct config *config)
{
    return v->config == config && script_code_is_current(v->code);
}

/* -- Entries -- */

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

static struct entry **slot_locked(struct pool *p, uint32_t hash)
{
    size_t i = hash & (p->old.size - 1);
    if (p->old.at != NULL && i >= p->moved)
        return &p->old.at[i];
    return &p->now.at[hash & (p->now.size - 1)];
}

static struct entry *find_locked(struct pool *p, const struct search *w)
{
    struct entry *e = *slot_locked(p, w->hash);
    while (e != NULL &&
           (e->hash != w->hash || e->path_len != w->path_len ||
            e->root_len != w->root_len || memcmp(e->path, w->path, w->path_len) != 0 ||
            memcmp(e->root, w->root, w->root_len) != 0))
        e = e->next;
    return e;
}

static void link_locked(struct pool *p, struct entry *e)
{
    struct entry **slot = slot_locked(p, e->hash);
    e->next = *slot;
    *slot = e;
}

/* Moves one slot of the old table over. Two for each new entry are done before the table
 * has to grow again. */
static void move_locked(struct pool *p)
{
    if (p->old.at == NULL)
        return;
    struct entry *e = p->old.at[p->moved++];
    while (e != NULL) {
        struct entry *next = e->next;
        link_locked(p, e);
        e = next;
    }
    if (p->moved == p->old.size) {
        free(p->old.at);
        p->old = (struct slots){0};
    }
}

static void grow_locked(struct pool *p)
{
    size_t size = 2 * p->now.size;
    struct entry **at = calloc(size, sizeof(struct entry *));
    if (at == NULL)
        return; /* longer chains, then */
    p->old = p->now;
    p->moved = 0;
    p->now = (struct slots){at, size};
}

static void insert_locked(struct pool *p, struct entry *e)
{
    move_locked(p);
    move_locked(p);
    if (p->entries >= p->now.size && p->old.at == NULL)
        grow_locked(p);
    link_locked(p, e);
    list_insert_after(&p->all, &e->all); /* in front: no walk meets it */
    p->entries++;
    e->rank = p->age;
}

static struct entry *entry_new(struct pool *p, const struct search *w)
{
    struct entry *e = calloc(1, sizeof *e + w->path_len + w->root_len + 2);
    if (e == NULL || pthread_cond_init(&e->returned, &p->monotonic) != 0) {
        free(e);
        return NULL;
    }
    list_init(&e->order);
    list_init(&e->idle);
    e->ids = &e->first_ids;
    e->id_words = 1;
    e->hash = w->hash;
    e->path_len = w->path_len;
    e->root_len = w->root_len;
    memcpy(e->path, w->path, w->path_len + 1);
    e->root = e->path + w->path_len + 1;
    memcpy(e->path + w->path_len + 1, w->root, w->root_len + 1);
    return e;
}

/* Frees entries that settle_locked has taken out. */
static void bury(struct entry *dead)
{
    while (dead != NULL) {
        struct entry *next = dead->next;
        version_unref(dead->version);
        pthread_cond_destroy(&dead->returned);
        if (dead->ids != &dead->first_ids)
            free(dead->ids);
        free(dead);
        dead = next;
    }
}

static void unghost_locked(struct pool *p, struct entry *e)
{
    if (!e->ghost)
        return;
    list_remove(&e->order);
    e->ghost = false;
    p->ghost_count--;
}

static void drop_locked(struct pool *p, struct entry *e, struct entry **dead)
{
    unghost_locked(p, e);
    struct entry **at = slot_locked(p, e->hash);
    while (*at != e)
        at = &(*at)->next;
    *at = e->next;
    list_remove(&e->all);
    p->entries--;
    e->next = *dead;
    *dead = e;
}

/* Called when a pin or a slot is given back: an entry without either becomes a ghost if
 * there is something to remember, and is dropped if not. Two ghosts at most leave for the
 * one that comes, so that even a lowered limit costs no long hold of the lock. */
static void settle_locked(struct pool *p, struct entry *e, struct entry **dead)
{
    if (e->pins > 0 || e->kept > 0 || e->extra > 0 || e->closing > 0)
        return;
    if (e->version == NULL) {
        drop_locked(p, e, dead);
        return;
    }
    if (!e->ghost) {
        e->ghost = true;
        list_append(&p->ghosts, &e->order);
        p->ghost_count++;
    }
    for (int i = 0; i < 2 && p->ghost_count > (size_t)p->ghost_limit; i++) {
        struct entry *oldest = CONTAINER(struct entry, order, p->ghosts.next);
        if (oldest->pins > 0) { /* perhaps for long, by a sweeper that is stuck */
            list_remove(&oldest->order);
            list_append(&p->ghosts, &oldest->order);
        } else {
            drop_locked(p, oldest, dead);
        }
    }
}

static void wake_locked(struct entry *e)
{
    if (e->waiters > 0)
        pthread_cond_signal(&e->returned);
}

/* -- Ranks -- */

static void order_locked(struct pool *p, struct entry *e)
{
    unsigned rank = e->rank > p->age ? e->rank : p->age;
    list_remove(&e->order);
    list_append(&p->buckets[rank % BUCKETS], &e->order);
}

static void promote_locked(struct pool *p, struct entry *e)
{
    unsigned rank = (e->rank > p->age ? e->rank : p->age) + 1;
    unsigned top = p->age + BUCKETS - 1;
    e->rank = rank < top ? rank : top;
}

/* The lowest bucket joins the next, ahead of those who are there already. */
static void grow_older_locked(struct pool *p)
{
    struct link *lowest = &p->buckets[p->age % BUCKETS];
    p->age++;
    list_splice(&p->buckets[p->age % BUCKETS], lowest);
}

static void push_idle_locked(struct pool *p, struct state *st)
{
    struct entry *e = st->entry;
    list_insert_after(&e->idle, &st->link);
    order_locked(p, e);
    wake_locked(e);
}

static struct state *pop_idle_locked(struct pool *p, struct entry *e, struct link *l)
{
    list_remove(l);
    if (list_is_empty(&e->idle))
        list_remove(&e->order);
    else
        order_locked(p, e);
    return CONTAINER(struct state, link, l);
}

/* -- Slots -- */

/* The smallest free id, from 1. Out of memory, one that may be in use twice. */
static int take_id_locked(struct entry *e)
{
    for (unsigned i = 0; i < e->id_words; i++) {
        for (unsigned bit = 0; e->ids[i] != UINT32_MAX && bit < 32; bit++) {
            if ((e->ids[i] >> bit & 1) == 0) {
                e->ids[i] |= UINT32_C(1) << bit;
                return (int)(i * 32 + bit + 1);
            }
        }
    }
    uint32_t *ids = malloc(2 * e->id_words * sizeof *ids);
    if (ids == NULL)
        return (int)(e->id_words * 32 + 1);
    memcpy(ids, e->ids, e->id_words * sizeof *ids);
    memset(ids + e->id_words, 0, e->id_words * sizeof *ids);
    if (e->ids != &e->first_ids)
        free(e->ids);
    e->ids = ids;
    e->id_words *= 2;
    return take_id_locked(e);
}

static void give_id_locked(struct entry *e, int id)
{
    unsigned i = (unsigned)(id - 1);
    if (i / 32 < e->id_words)
        e->ids[i / 32] &= ~(UINT32_C(1) << i % 32);
}

static void free_slot_locked(struct pool *p, struct entry *e, int id, enum slot_kind kind,
                             struct entry **dead)
{
    give_id_locked(e, id);
    if (kind == EXTRA)
        e->extra--;
    else {
        e->kept--;
        p->kept--;
    }
    wake_locked(e);
    settle_locked(p, e, dead);
}

/* The state is on its way to the closing room, its slot free. `charged`: on account of
 * the request that the caller serves. */
static void leave_locked(struct pool *p, struct state *st, bool charged)
{
    struct entry *e = st->entry, *dead = NULL;
    st->charged = charged;
    e->closing++;
    e->charged += charged;
    p->charged += charged;
    free_slot_locked(p, e, st->id, st->kind, &dead); /* it has a state: none is dead */
}

static void count_eviction_locked(struct pool *p, const struct config *config)
{
    unsigned per_age = (unsigned)config->lua_total_states;
    if (per_age < EVICTIONS_PER_AGE)
        per_age = EVICTIONS_PER_AGE;
    if (++p->evictions < per_age)
        return;
    p->evictions = 0;
    grow_older_locked(p);
}

/* Takes out an idle state; NULL when every state is busy. */
static struct state *evict_locked(struct pool *p, const struct config *config)
{
    unsigned rank = p->age;
    while (list_is_empty(&p->buckets[rank % BUCKETS]))
        if (++rank == p->age + BUCKETS)
            return NULL;
    struct entry *e = CONTAINER(struct entry, order, p->buckets[rank % BUCKETS].next);
    struct state *st = pop_idle_locked(p, e, e->idle.prev);
    leave_locked(p, st, true);
    count_eviction_locked(p, config);
    return st;
}

static bool claim_locked(struct search *w, bool evict, struct place *place)
{
    struct pool *p = w->pool;
    struct entry *e = w->entry;
    if (e->kept >= w->config->lua_max_states)
        return false;
    if (p->kept >= w->config->lua_total_states) {
        if (evict)
            place->victim = evict_locked(p, w->config);
        if (place->victim == NULL)
            return false;
    }
    place->first = e->kept == 0;
    place->kind = KEPT;
    place->id = take_id_locked(e);
    e->kept++;
    p->kept++;
    return true;
}

static void claim_extra_locked(struct search *w, struct place *place)
{
    place->kind = EXTRA;
    place->id = take_id_locked(w->entry);
    w->entry->extra++;
}

/* -- Making and closing states -- */

/* The closing room's work, in its thread. */
static void close_state(struct closing *c)
{
    struct state *st = CONTAINER(struct state, closing, c);
    struct pool *p = st->pool;
    struct entry *e = st->entry, *dead = NULL;
    script_close(st->script);
    atomic_fetch_sub(&p->states, 1);
    lock(p);
    e->closing--;
    e->charged -= st->charged;
    p->charged -= st->charged;
    if (e->waiters > 0)
        pthread_cond_broadcast(&e->returned);
    settle_locked(p, e, &dead);
    unlock(p);
    free(st);
    bury(dead);
}

/* After leave_locked. */
static void hand_to_closer(struct state *st)
{
    st->closing = (struct closing){.name = st->entry->path, .close = close_state};
    closers_add(&st->closing);
}

static void discard(struct pool *p, struct state *st, bool charged)
{
    lock(p);
    leave_locked(p, st, charged);
    unlock(p);
    hand_to_closer(st);
}

int pool_evict(struct pool *p, const struct config *config, int count)
{
    for (int evicted = 0; evicted < count; evicted++) {
        lock(p);
        struct state *st = evict_locked(p, config);
        unlock(p);
        if (st == NULL)
            return evicted;
        hand_to_closer(st);
    }
    return count;
}

/* The slot was claimed, and is given back on failure. */
static struct state *create(struct search *w, const struct place *place,
                            struct script_error *error)
{
    struct pool *p = w->pool;
    struct entry *dead = NULL;
    struct state *st = malloc(sizeof *st);
    struct script *s = NULL;
    if (st == NULL)
        out_of_memory(error);
    else
        s = script_create(w->version->code, w->root, w->config, place->id, error);
    if (s == NULL) {
        free(st);
        lock(p);
        free_slot_locked(p, w->entry, place->id, place->kind, &dead);
        unlock(p);
        bury(dead);
        return NULL;
    }
    *st = (struct state){.pool = p,
                         .entry = w->entry,
                         .script = s,
                         .config = w->config,
                         .id = place->id,
                         .kind = place->kind};
    list_init(&st->link);
    script_set_owner(s, st);
    atomic_fetch_add(&p->states, 1);
    return st;
}

/* The rest of LuaStates, which evict nobody. One that fails is a matter for the request
 * that will need it. */
static void create_others(struct search *w)
{
    struct pool *p = w->pool;
    for (;;) {
        struct place place = {0};
        lock(p);
        bool wanted =
            w->entry->kept < w->config->lua_states && claim_locked(w, false, &place);
        unlock(p);
        if (!wanted)
            return;
        struct script_error error = {0};
        struct state *st = create(w, &place, &error);
        if (st == NULL) {
            log_debug("%s: %s", w->path, error.message ? error.message : "no state");
            script_error_clear(&error);
            return;
        }
        lock(p);
        push_idle_locked(p, st);
        unlock(p);
    }
}

static struct script *hand_over(struct state *st, const struct config *config)
{
    st->max_requests = (unsigned)config->lua_max_requests;
    st->max_errors = (unsigned)config->lua_max_errors;
    return st->script;
}

static struct script *make(struct search *w, const struct place *place)
{
    if (place->victim != NULL)
        hand_to_closer(place->victim);
    struct state *st = create(w, place, w->error);
    if (st == NULL)
        return NULL;
    if (place->kind == KEPT && (place->first || w->loaded))
        create_others(w);
    return hand_over(st, w->config);
}

/* -- Compiling once -- */

/* Refers to the entry's version, waiting for it if somebody is loading it. `ours`: it is
 * new, and ours to load. `waited`: it was finished while we waited, so it needs no check;
 * all who waited share what came of it. */
static struct version *join_version(struct search *w, bool *ours, bool *waited)
{
    struct pool *p = w->pool;
    struct version *spare = version_new(p, w->config);
    if (spare == NULL)
        return NULL;
    lock(p);
    struct version *v = w->entry->version;
    *ours = v == NULL;
    if (*ours) {
        v = w->entry->version = spare;
        spare = NULL;
    }
    atomic_fetch_add(&v->refs, 1);
    *waited = !*ours && !v->done && v->config == w->config;
    while (!*ours && !v->done)
        wait_locked(p, &v->loaded, 0);
    unlock(p);
    version_unref(spare);
    return v;
}

static void forget_version(struct pool *p, struct entry *e, struct version *v)
{
    lock(p);
    bool held = e->version == v;
    if (held)
        e->version = NULL;
    unlock(p);
    if (held)
        version_unref(v);
}

/* What could not be read is told to those who wait for it, and not remembered. */
static void load_version(struct search *w, struct version *v)
{
    struct pool *p = w->pool;
    v->code = script_compile(w->path, w->config, &v->error);
    lock(p);
    v->done = true;
    pthread_cond_broadcast(&v->loaded);
    bool unread = v->code == NULL && w->entry->version == v;
    if (unread)
        w->entry->version = NULL;
    unlock(p);
    if (unread)
        version_unref(v);
    w->loaded = true;
}

static bool version_is_good(struct search *w, const struct version *v)
{
    const struct script_error *error = v->code ? script_code_error(v->code) : &v->error;
    if (error == NULL)
        return true;
    set_error(w->error, error->status, error->message);
    return false;
}

/* Makes w->version something to make states from. */
static bool hold_version(struct search *w)
{
    version_unref(w->version);
    w->version = NULL;
    for (;;) {
        bool ours, waited;
        struct version *v = join_version(w, &ours, &waited);
        if (v == NULL) {
            out_of_memory(w->error);
            return false;
        }
        if (ours) {
            load_version(w, v);
        } else if (!waited && (v->code == NULL || !version_is_current(v, w->config))) {
            forget_version(w->pool, w->entry, v);
            version_unref(v);
            continue;
        }
        w->version = v;
        return version_is_good(w, v);
    }
}

/* -- Checking out -- */

static bool pin(struct search *w)
{
    struct pool *p = w->pool;
    struct entry *spare = entry_new(p, w);
    if (spare == NULL) {
        out_of_memory(w->error);
        return false;
    }
    lock(p);
    struct entry *e = find_locked(p, w);
    if (e == NULL) {
        e = spare;
        spare = NULL;
        insert_locked(p, e);
    } else if (!w->ranked) {
        promote_locked(p, e);
    }
    w->ranked = true;
    unghost_locked(p, e);
    e->pins++;
    p->ghost_limit = w->config->lua_total_states;
    w->entry = e;
    unlock(p);
    bury(spare);
    return true;
}

static void unpin(struct pool *p, struct entry *e)
{
    struct entry *dead = NULL;
    lock(p);
    e->pins--;
    settle_locked(p, e, &dead);
    unlock(p);
    bury(dead);
}

static struct state *take_idle(struct search *w)
{
    struct pool *p = w->pool;
    struct state *st = NULL;
    lock(p);
    struct entry *e = w->entry ? w->entry : find_locked(p, w);
    if (e != NULL && !w->ranked) {
        promote_locked(p, e);
        w->ranked = true;
    }
    if (e != NULL && !list_is_empty(&e->idle))
        st = pop_idle_locked(p, e, e->idle.next);
    unlock(p);
    return st;
}

/* Waits until a state came back or 5 ms are over. false: it has waited long enough. */
static bool wait_for_return_locked(struct search *w)
{
    int64_t now = clock_nanoseconds();
    if (w->deadline == 0)
        w->deadline = now + w->config->lua_max_search_retries * retry_time;
    if (now >= w->deadline)
        return false;
    int64_t until = now + retry_time;
    w->entry->waiters++;
    wait_locked(w->pool, &w->entry->returned, until < w->deadline ? until : w->deadline);
    w->entry->waiters--;
    return true;
}

/* Whether as many states are being closed as requests may leave behind: of the script as
 * many as there are workers, of all together twice that beside LuaTotalStates. There is
 * one closer more than workers, so the others get theirs closed. Waits until it may be
 * otherwise. false: it is not so, or has been for long enough. */
static bool wait_for_closers_locked(struct search *w)
{
    const struct config *config = w->config;
    int workers = config->worker_threads;
    if (w->entry->charged < workers &&
        w->pool->charged < config->lua_total_states + 2 * workers)
        return false;
    int64_t now = clock_nanoseconds();
    if (w->closing_deadline == 0)
        w->closing_deadline = now + closing_patience;
    if (now >= w->closing_deadline)
        return false;
    w->entry->waiters++;
    wait_locked(w->pool, &w->entry->returned, now + retry_time);
    w->entry->waiters--;
    return true;
}

/* Finds a place for one more state. false: the idle list is worth another look. States
 * that the sweeper is looking at come back at once, and are worth waiting for. */
static bool find_place(struct search *w, struct place *place)
{
    struct pool *p = w->pool;
    struct entry *e = w->entry;
    bool found = false;
    lock(p);
    bool idle = !list_is_empty(&e->idle);
    if (!idle && e->examined > 0) {
        e->waiters++;
        wait_locked(p, &e->returned, 0);
        e->waiters--;
    } else if (!idle && !wait_for_closers_locked(w)) {
        found = claim_locked(w, true, place);
        if (!found && !wait_for_return_locked(w)) {
            claim_extra_locked(w, place);
            found = true;
        }
    }
    unlock(p);
    return found;
}

static struct script *find_or_make(struct search *w)
{
    for (;;) {
        struct state *st;
        while ((st = take_idle(w)) != NULL) {
            if (st->config == w->config && script_is_current(st->script))
                return hand_over(st, w->config);
            discard(w->pool, st, true);
        }
        if (w->entry == NULL && !pin(w))
            return NULL;
        if (!hold_version(w))
            return NULL;
        struct place place = {0};
        if (find_place(w, &place))
            return make(w, &place);
    }
}

struct script *pool_checkout(struct pool *p, const char *path, const char *root,
                             struct config *config, struct script_error *error)
{
    struct search w = {.pool = p,
                       .path = path,
                       .root = root == NULL ? "" : root,
                       .config = config,
                       .error = error};
    w.path_len = strlen(path);
    w.root_len = strlen(w.root);
    w.hash = (uint32_t)(mix(mix(p->seed, path, w.path_len), w.root, w.root_len) >> 32);
    struct script *s = find_or_make(&w);
    version_unref(w.version);
    if (w.entry != NULL)
        unpin(p, w.entry);
    return s;
}

/* What a state keeps in its globals may be broken for good, a connection to a database
 * for one: a new state opens it anew. */
static bool is_failing(const struct state *st)
{
    unsigned failures = script_failures(st->script);
    if (st->max_errors == 0 || failures < st->max_errors)
        return false;
    log_warning("state %d is renewed: %u requests in a row have failed (LuaMaxErrors)",
                st->id, failures);
    return true;
}

void pool_checkin(struct pool *p, struct script *s, bool reusable)
{
    struct state *st = script_owner(s);
    bool worn = st->max_requests > 0 && script_requests(s) >= st->max_requests;
    if (!reusable || st->kind == EXTRA || worn || is_failing(st) ||
        !script_is_current(s)) {
        discard(p, st, true);
        return;
    }
    lock(p);
    push_idle_locked(p, st);
    unlock(p);
}

/* -- Walking over all entries -- */

struct walk {
    struct pool *pool;
    struct entry *batch[WALK_BATCH]; /* pinned */
    int states[WALK_BATCH];
    size_t n;
};

/* The next entries; none when all were seen. The last one's pin keeps our place. */
static size_t walk_on(struct walk *k)
{
    struct pool *p = k->pool;
    struct entry *before[WALK_BATCH], *dead = NULL;
    size_t n_before = k->n;
    memcpy(before, k->batch, sizeof before);
    lock(p);
    struct link *l = n_before > 0 ? before[n_before - 1]->all.next : p->all.next;
    for (k->n = 0; k->n < WALK_BATCH && l != &p->all; l = l->next) {
        struct entry *e = CONTAINER(struct entry, all, l);
        e->pins++;
        k->states[k->n] = e->kept + e->extra;
        k->batch[k->n++] = e;
    }
    for (size_t i = 0; i < n_before; i++) {
        before[i]->pins--;
        settle_locked(p, before[i], &dead);
    }
    unlock(p);
    bury(dead);
    return k->n;
}

void pool_visit(struct pool *p, void (*visit)(const char *path, int states, void *arg),
                void *arg)
{
    struct walk k = {.pool = p};
    while (walk_on(&k) > 0)
        for (size_t i = 0; i < k.n; i++)
            if (k.states[i] > 0)
                visit(k.batch[i]->path, k.states[i], arg);
}

/* -- The sweeper -- */

/* Splits stale states off a list that was taken out of its entry. */
static void sort_out(struct link *list, struct link *stale, const struct config *config)
{
    for (struct link *l = list->next, *next; l != list; l = next) {
        next = l->next;
        struct state *st = CONTAINER(struct state, link, l);
        if (st->config == config && script_is_current(st->script))
            continue;
        list_remove(l);
        list_append(stale, l);
    }
}

/* The states taken out are ours meanwhile. They go back behind those that were checked in
 * since, so the newest are still in front. */
static void sweep_entry(struct pool *p, struct entry *e, const struct config *config)
{
    struct link list, stale;
    list_init(&list);
    list_init(&stale);
    lock(p);
    unsigned taken = list_is_empty(&e->idle) ? 0 : 1;
    if (taken > 0)
        list_remove(&e->order);
    list_splice(&list, &e->idle);
    e->examined += taken;
    struct version *v = e->version != NULL && e->version->done ? e->version : NULL;
    if (v != NULL)
        atomic_fetch_add(&v->refs, 1);
    unlock(p);

    sort_out(&list, &stale, config);
    if (v != NULL && !version_is_current(v, config))
        forget_version(p, e, v);
    version_unref(v);

    lock(p);
    list_splice(e->idle.prev, &list);
    if (!list_is_empty(&e->idle))
        order_locked(p, e);
    e->examined -= taken;
    if (e->waiters > 0)
        pthread_cond_broadcast(&e->returned);
    unlock(p);
    while (!list_is_empty(&stale)) {
        struct state *st = CONTAINER(struct state, link, stale.next);
        list_remove(&st->link);
        discard(p, st, false);
    }
}

/* Nothing has changed since the last two sweeps: a state that was found current just
 * before a change may have been checked in just after the first of them. */
static bool nothing_to_sweep(struct pool *p, unsigned epoch, unsigned generation)
{
    lock(p);
    bool nothing =
        epoch == p->swept_epoch && generation == p->swept_generation && p->swept_twice;
    unlock(p);
    return nothing;
}

static void note_sweep(struct pool *p, unsigned epoch, unsigned generation)
{
    lock(p);
    p->swept_twice = epoch == p->swept_epoch && generation == p->swept_generation;
    p->swept_epoch = epoch;
    p->swept_generation = generation;
    unlock(p);
}

/* What was current for the configuration of the beginning need not be so for one that
 * came meanwhile, whose sweep is yet to come. */
void pool_sweep(struct pool *p)
{
    unsigned epoch = source_epoch(), generation = config_generation();
    if (nothing_to_sweep(p, epoch, generation))
        return;
    struct config *config = config_current();
    struct walk k = {.pool = p};
    while (walk_on(&k) > 0)
        for (size_t i = 0; i < k.n && generation == config_generation(); i++)
            sweep_entry(p, k.batch[i], config);
    config_unref(config);
    note_sweep(p, epoch, generation);
}

size_t pool_states(const struct pool *p)
{
    return atomic_load(&p->states);
}

/* -- Making and ending the pool -- */

static bool init_condattr(pthread_condattr_t *attr)
{
    if (pthread_condattr_init(attr) != 0)
        return false;
    if (pthread_condattr_setclock(attr, CLOCK_MONOTONIC) == 0)
        return true;
    pthread_condattr_destroy(attr);
    return false;
}

struct pool *pool_create(void)
{
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->now = (struct slots){calloc(FIRST_SLOTS, sizeof(struct entry *)), FIRST_SLOTS};
    if (p->now.at == NULL || !init_condattr(&p->monotonic)) {
        free(p->now.at);
        free(p);
        return NULL;
    }
    if (pthread_mutex_init(&p->lock, NULL) != 0) {
        pthread_condattr_destroy(&p->monotonic);
        free(p->now.at);
        free(p);
        return NULL;
    }
    list_init(&p->all);
    list_init(&p->ghosts);
    for (size_t i = 0; i < BUCKETS; i++)
        list_init(&p->buckets[i]);
    p->seed = (uint32_t)((uintptr_t)p >> 4) ^ (uint32_t)clock_nanoseconds();
    return p;
}

static void close_idle(struct pool *p, struct entry *e)
{
    for (;;) {
        lock(p);
        struct state *st =
            list_is_empty(&e->idle) ? NULL : pop_idle_locked(p, e, e->idle.next);
        unlock(p);
        if (st == NULL)
            return;
        discard(p, st, false);
    }
}

void pool_close_idle(struct pool *p)
{
    struct walk k = {.pool = p};
    while (walk_on(&k) > 0)
        for (size_t i = 0; i < k.n; i++)
            close_idle(p, k.batch[i]);
}

/* Entries without states and versions go when the walk has passed. */
void pool_destroy(struct pool *p)
{
    if (p == NULL)
        return;
    struct walk k = {.pool = p};
    while (walk_on(&k) > 0) {
        for (size_t i = 0; i < k.n; i++) {
            struct entry *e = k.batch[i];
            close_idle(p, e);
            version_unref(e->version);
            e->version = NULL;
        }
    }
    pthread_mutex_destroy(&p->lock);
    pthread_condattr_destroy(&p->monotonic);
    free(p->old.at);
    free(p->now.at);
    free(p);
}
