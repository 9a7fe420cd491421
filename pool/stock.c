/* The states in memory. Workers make them, and take and bring back idle ones; the sweeper
 * discards stale ones; the closers count a state out once it is closed. The stock owns
 * idle states. Its lock guards counts, idle lists and order, and is never held while a
 * function of lua/ runs. */
#include "pool/stock.h"

#include "lua/script.h"
#include "pool/failure.h"

#include <stdlib.h>

bool stock_init(struct stock *s)
{
    if (!lock_init(&s->lock))
        return false;
    table_init(&s->table);
    ranks_init(&s->ranks);
    s->kept = s->closing = s->charged = s->at_rest = s->extra = s->aside = 0;
    s->loads = s->evictions = s->extras = 0;
    s->memory = 0;
    atomic_init(&s->states, 0);
    return true;
}

void stock_destroy(struct stock *s)
{
    lock_destroy(&s->lock);
    table_destroy(&s->table);
}

/* -- Idle states -- */

bool stock_is_current(const struct state *st, const struct config *config)
{
    return st->config == config && state_is_current(st->script);
}

static void end_aside_locked(struct state *st)
{
    st->entry->aside -= st->set_aside;
    st->stock->aside -= st->set_aside;
    st->set_aside = false;
}

static void set_at_rest_locked(struct state *st, bool at_rest)
{
    int more = at_rest - st->at_rest;
    st->at_rest = at_rest;
    st->entry->at_rest += more;
    st->stock->at_rest += more;
}

void stock_note_memory_locked(struct state *st, size_t memory)
{
    size_t more = memory - st->memory; /* may wrap around, and back again */
    st->memory = memory;
    st->entry->figures.memory += more;
    st->stock->memory += more;
}

/* What the owner has noted. */
static void note_time_locked(struct state *st)
{
    st->entry->figures.time += st->took;
    st->took = 0;
}

void stock_push_locked(struct stock *s, struct state *st)
{
    struct entry *e = st->entry;
    note_time_locked(st);
    set_at_rest_locked(st, true);
    list_insert_after(&e->idle, &st->link);
    rank_order_locked(&s->ranks, e);
    entry_wake_locked(e);
}

static struct state *take_locked(struct stock *s, struct entry *e, struct link *l)
{
    list_remove(l);
    if (list_is_empty(&e->idle))
        list_remove(&e->order);
    else
        rank_order_locked(&s->ranks, e);
    struct state *st = CONTAINER(struct state, link, l);
    set_at_rest_locked(st, false);
    return st;
}

struct state *stock_pop_locked(struct stock *s, struct entry *e)
{
    return list_is_empty(&e->idle) ? NULL : take_locked(s, e, e->idle.next);
}

/* -- Leaving -- */

static void give_place_locked(struct stock *s, struct entry *e, int id,
                              enum stock_kind kind, struct entry **dead)
{
    entry_give_id_locked(e, id);
    if (kind == STOCK_EXTRA) {
        e->extra--;
        s->extra--;
    } else {
        e->kept--;
        s->kept--;
    }
    entry_wake_locked(e);
    table_settle_locked(&s->table, e, dead);
}

/* The state is on its way to the closers, and its place is free. The entry is not
 * dropped, because it has a state that is being closed. */
static void leave_locked(struct stock *s, struct state *st, bool charged)
{
    struct entry *e = st->entry, *dead = NULL;
    st->charged = charged;
    set_at_rest_locked(st, false);
    end_aside_locked(st);
    note_time_locked(st);
    stock_note_memory_locked(st, 0);
    e->closing++;
    s->closing++;
    e->charged += charged;
    s->charged += charged;
    give_place_locked(s, e, st->id, st->kind, &dead);
}

/* What a closer does with a state, in its own thread. */
static void close_state(struct closing *c)
{
    struct state *st = CONTAINER(struct state, closing, c);
    struct stock *s = st->stock;
    struct entry *e = st->entry, *dead = NULL;
    script_close(st->script);
    atomic_fetch_sub(&s->states, 1);
    lock_acquire(&s->lock);
    e->closing--;
    s->closing--;
    e->charged -= st->charged;
    s->charged -= st->charged;
    if (e->waiters > 0)
        pthread_cond_broadcast(&e->returned);
    table_settle_locked(&s->table, e, &dead);
    lock_release(&s->lock);
    free(st);
    table_bury(dead);
}

/* After leave_locked. */
static void hand_to_closer(struct state *st)
{
    st->closing = (struct closing){.name = st->entry->key.path, .close = close_state};
    closers_add(&st->closing);
}

void stock_discard(struct stock *s, struct state *st, bool charged)
{
    lock_acquire(&s->lock);
    leave_locked(s, st, charged);
    lock_release(&s->lock);
    hand_to_closer(st);
}

/* Takes out an idle state; NULL when every state is busy. */
static struct state *evict_locked(struct stock *s, const struct config *config)
{
    struct entry *e = rank_lowest_locked(&s->ranks);
    if (e == NULL)
        return NULL;
    struct state *st = take_locked(s, e, e->idle.prev);
    e->figures.evictions++;
    s->evictions++;
    leave_locked(s, st, true);
    rank_count_eviction_locked(&s->ranks, config->lua_total_states);
    return st;
}

bool stock_evict(struct stock *s, const struct config *config)
{
    lock_acquire(&s->lock);
    struct state *st = evict_locked(s, config);
    lock_release(&s->lock);
    if (st != NULL)
        hand_to_closer(st);
    return st != NULL;
}

static void close_idle_of(struct stock *s, struct entry *e)
{
    for (;;) {
        lock_acquire(&s->lock);
        struct state *st = stock_pop_locked(s, e);
        lock_release(&s->lock);
        if (st == NULL)
            return;
        stock_discard(s, st, false);
    }
}

void stock_close_idle(struct stock *s)
{
    struct table_walk w = {.table = &s->table, .lock = &s->lock};
    while (table_walk(&w) > 0)
        for (size_t i = 0; i < w.n; i++)
            close_idle_of(s, w.batch[i]);
}

/* An entry without states and version is dropped when the walk has passed it. */
void stock_clear(struct stock *s)
{
    struct table_walk w = {.table = &s->table, .lock = &s->lock};
    while (table_walk(&w) > 0) {
        for (size_t i = 0; i < w.n; i++) {
            struct entry *e = w.batch[i];
            close_idle_of(s, e);
            version_unref(e->version);
            e->version = NULL;
            e->figures.loads = 0; /* or it would be remembered */
        }
    }
}

/* -- Places -- */

static void count_load_locked(struct stock *s, struct entry *e)
{
    e->figures.loads++;
    s->loads++;
}

bool stock_claim_locked(struct stock *s, struct entry *e, const struct config *config,
                        bool evict, struct stock_place *place)
{
    if (e->kept >= config->lua_max_states)
        return false;
    if (s->kept >= config->lua_total_states) {
        if (evict)
            place->victim = evict_locked(s, config);
        if (place->victim == NULL)
            return false;
    }
    place->first = e->kept == 0;
    place->kind = STOCK_KEPT;
    place->id = entry_take_id_locked(e);
    e->kept++;
    s->kept++;
    count_load_locked(s, e);
    return true;
}

void stock_claim_extra_locked(struct stock *s, struct entry *e, struct stock_place *place)
{
    place->kind = STOCK_EXTRA;
    place->id = entry_take_id_locked(e);
    e->extra++;
    s->extra++;
    s->extras++;
    count_load_locked(s, e);
}

/* Those who wait for a place of the script may have this one. */
void stock_set_aside_locked(struct stock *s, struct state *st)
{
    struct entry *e = st->entry;
    st->set_aside = true;
    e->aside++;
    s->aside++;
    if (st->kind == STOCK_EXTRA)
        return;
    st->kind = STOCK_EXTRA;
    e->extra++;
    s->extra++;
    e->kept--;
    s->kept--;
    entry_wake_locked(e);
}

bool stock_take_back_locked(struct stock *s, struct state *st)
{
    struct entry *e = st->entry;
    if (e->kept >= st->config->lua_max_states || s->kept >= st->config->lua_total_states)
        return false;
    end_aside_locked(st);
    st->kind = STOCK_KEPT;
    e->extra--;
    s->extra--;
    e->kept++;
    s->kept++;
    return true;
}

static void give_place(struct stock *s, struct entry *e, const struct stock_place *place)
{
    struct entry *dead = NULL;
    lock_acquire(&s->lock);
    give_place_locked(s, e, place->id, place->kind, &dead);
    lock_release(&s->lock);
    table_bury(dead);
}

/* NULL with `error` filled. */
static struct state *make(struct entry *e, const struct version *v, struct config *config,
                          int id, struct script_error *error)
{
    struct state *st = calloc(1, sizeof *st);
    if (st == NULL) {
        failure_no_memory(error);
        return NULL;
    }
    st->script = script_create(version_code(v), e->key.root, config, id, error);
    if (st->script == NULL) {
        free(st);
        return NULL;
    }
    return st;
}

struct state *stock_create(struct stock *s, struct entry *e, const struct version *v,
                           struct config *config, const struct stock_place *place,
                           struct script_error *error)
{
    if (place->victim != NULL)
        hand_to_closer(place->victim);
    struct state *st = make(e, v, config, place->id, error);
    if (st == NULL) {
        give_place(s, e, place);
        return NULL;
    }
    st->stock = s;
    st->entry = e;
    st->config = config;
    st->id = place->id;
    st->kind = place->kind;
    list_init(&st->link);
    state_set_owner(st->script, st);
    atomic_fetch_add(&s->states, 1);
    return st;
}
