/* The face of the pool: checkout, check-in, sweep and visit.
 *
 * Workers check states out and in, the sweeper sweeps, the heartbeat evicts. The pool
 * owns the stock (pool/stock.h): the scripts' entries and their states. The only lock is
 * the stock's; it is never held while a function of lua/ runs. What a checkout knows is
 * in a struct search on its thread's stack. */
#include "pool.h"

#include "base/clock.h"
#include "base/log.h"
#include "pool/failure.h"
#include "pool/stale.h"
#include "pool/stock.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const int64_t retry_time = 5000000; /* ns; one of LuaMaxSearchRetries */

/* ns that a checkout waits at most for states that are being closed: as long as closing
 * one may take. */
static const int64_t closing_patience = 1000000000;

struct pool {
    struct stock stock;
    struct stale_marks swept;
};

/* One checkout. */
struct search {
    struct stock *stock;
    struct entry_key key;
    struct config *config;
    struct script_error *error;
    struct entry *entry;      /* pinned; NULL until something has to be made */
    struct version *version;  /* counted */
    int64_t deadline;         /* of the wait for a state to come back; 0: not begun, */
    int64_t closing_deadline; /* and of the wait for states to be closed */
    bool ranked, loaded;
};

bool pool_is_locked_here(void)
{
    return lock_is_held_here();
}

/* -- Making states -- */

/* Makes the rest of LuaStates, for which no other state is evicted. If one fails, this
 * request does not need it; a later request that does will get the error. */
static void create_others(struct search *w)
{
    struct stock *s = w->stock;
    for (;;) {
        struct stock_place place = {0};
        lock_acquire(&s->lock);
        bool wanted = w->entry->kept < w->config->lua_states &&
                      stock_claim_locked(s, w->entry, w->config, false, &place);
        lock_release(&s->lock);
        if (!wanted)
            return;
        struct script_error error = {0};
        struct state *st =
            stock_create(s, w->entry, w->version, w->config, &place, &error);
        if (st == NULL) {
            log_debug("%s: %s", w->key.path,
                      error.message != NULL ? error.message : "no state");
            state_error_clear(&error);
            return;
        }
        lock_acquire(&s->lock);
        stock_push_locked(s, st);
        lock_release(&s->lock);
    }
}

static struct script *hand_over(struct state *st, const struct config *config)
{
    st->max_requests = (unsigned)config->lua_max_requests;
    st->max_errors = (unsigned)config->lua_max_errors;
    return st->script;
}

static struct script *make(struct search *w, const struct stock_place *place)
{
    struct state *st =
        stock_create(w->stock, w->entry, w->version, w->config, place, w->error);
    if (st == NULL)
        return NULL;
    if (place->kind == STOCK_KEPT && (place->first || w->loaded))
        create_others(w);
    return hand_over(st, w->config);
}

/* Sets w->version to a version from which states can be made. */
static bool hold_version(struct search *w)
{
    version_unref(w->version);
    w->version = version_hold(&w->entry->version, &w->stock->lock, w->key.path, w->config,
                              w->error, &w->loaded);
    return w->version != NULL;
}

/* -- Checking out -- */

static bool pin(struct search *w)
{
    struct stock *s = w->stock;
    struct entry *spare = entry_create(&w->key);
    if (spare == NULL) {
        failure_no_memory(w->error);
        return false;
    }
    lock_acquire(&s->lock);
    struct entry *e = table_find_locked(&s->table, &w->key);
    if (e == NULL) {
        e = spare;
        spare = NULL;
        table_insert_locked(&s->table, e);
        rank_enter_locked(&s->ranks, e);
    } else if (!w->ranked) {
        rank_promote_locked(&s->ranks, e);
    }
    e->figures.hits += !w->ranked;
    w->ranked = true;
    table_pin_locked(&s->table, e);
    s->table.ghost_limit = w->config->lua_total_states;
    w->entry = e;
    lock_release(&s->lock);
    if (spare != NULL)
        entry_free(spare);
    return true;
}

static void unpin(struct stock *s, struct entry *e)
{
    struct entry *dead = NULL;
    lock_acquire(&s->lock);
    e->pins--;
    table_settle_locked(&s->table, e, &dead);
    lock_release(&s->lock);
    table_bury(dead);
}

static struct state *take_idle(struct search *w)
{
    struct stock *s = w->stock;
    struct state *st = NULL;
    lock_acquire(&s->lock);
    struct entry *e = w->entry != NULL ? w->entry : table_find_locked(&s->table, &w->key);
    if (e != NULL && !w->ranked) {
        rank_promote_locked(&s->ranks, e);
        e->figures.hits++;
        w->ranked = true;
    }
    if (e != NULL)
        st = stock_pop_locked(s, e);
    lock_release(&s->lock);
    return st;
}

/* Waits until the entry is signalled, or until the moment `until`; 0: without a time
 * limit. */
static void wait_locked(struct search *w, int64_t until)
{
    w->entry->waiters++;
    lock_wait_locked(&w->stock->lock, &w->entry->returned, until);
    w->entry->waiters--;
}

/* Waits until a state comes back or 5 ms are over. false: the search has waited long
 * enough. */
static bool wait_for_return_locked(struct search *w)
{
    int64_t now = clock_nanoseconds();
    if (w->deadline == 0)
        w->deadline = now + w->config->lua_max_search_retries * retry_time;
    if (now >= w->deadline)
        return false;
    int64_t until = now + retry_time;
    wait_locked(w, until < w->deadline ? until : w->deadline);
    return true;
}

/* If too many states that requests have left behind are still being closed, waits for
 * that to change. There may be as many of one script as there are workers, and of all
 * scripts together LuaTotalStates and two more for each worker. There is one closer more
 * than workers, so states of other scripts are closed meanwhile. false: there are not too
 * many, or the search has waited long enough. */
static bool wait_for_closers_locked(struct search *w)
{
    const struct config *config = w->config;
    int workers = config->worker_threads;
    if (w->entry->charged < workers &&
        w->stock->charged < config->lua_total_states + 2 * workers)
        return false;
    int64_t now = clock_nanoseconds();
    if (w->closing_deadline == 0)
        w->closing_deadline = now + closing_patience;
    if (now >= w->closing_deadline)
        return false;
    wait_locked(w, now + retry_time);
    return true;
}

/* Finds a place for one more state. false: look at the idle list again. States that the
 * sweeper is looking at come back soon, so the search waits for them. */
static bool find_place(struct search *w, struct stock_place *place)
{
    struct stock *s = w->stock;
    struct entry *e = w->entry;
    bool found = false;
    lock_acquire(&s->lock);
    bool idle = !list_is_empty(&e->idle);
    if (!idle && e->examined > 0) {
        wait_locked(w, 0);
    } else if (!idle && !wait_for_closers_locked(w)) {
        found = stock_claim_locked(s, e, w->config, true, place);
        if (!found && !wait_for_return_locked(w)) {
            stock_claim_extra_locked(s, e, place);
            found = true;
        }
    }
    lock_release(&s->lock);
    return found;
}

static struct script *find_or_make(struct search *w)
{
    for (;;) {
        struct state *st;
        while ((st = take_idle(w)) != NULL) {
            if (stock_is_current(st, w->config))
                return hand_over(st, w->config);
            stock_discard(w->stock, st, true);
        }
        if (w->entry == NULL && !pin(w))
            return NULL;
        if (!hold_version(w))
            return NULL;
        struct stock_place place = {0};
        if (find_place(w, &place))
            return make(w, &place);
    }
}

/* The first line of it. */
static void note_error(struct stock *s, struct entry *e, const char *message)
{
    size_t len = message == NULL ? 0 : strcspn(message, "\r\n");
    char *text = message == NULL
                     ? NULL
                     : strndup(message, len < POOL_ERROR ? len : POOL_ERROR - 1);
    lock_acquire(&s->lock);
    char *before = entry_note_error_locked(e, text);
    lock_release(&s->lock);
    free(before);
}

struct script *pool_checkout(struct pool *p, const char *path, const char *root,
                             struct config *config, struct script_error *error)
{
    struct search w = {.stock = &p->stock, .config = config, .error = error};
    w.key = table_key(&p->stock.table, path, root == NULL ? "" : root);
    struct script *s = find_or_make(&w);
    version_unref(w.version);
    if (s == NULL && w.entry != NULL && error->status >= 500)
        note_error(&p->stock, w.entry, error->message);
    if (w.entry != NULL)
        unpin(&p->stock, w.entry);
    return s;
}

/* -- Checking in -- */

/* What a state keeps in its globals, for example a connection to a database, may be
 * broken for good. A new state opens it anew. */
static bool is_failing(const struct state *st)
{
    unsigned failures = state_failures(st->script);
    if (st->max_errors == 0 || failures < st->max_errors)
        return false;
    log_warning("state %d is renewed: %u requests in a row have failed (LuaMaxErrors)",
                st->id, failures);
    return true;
}

void pool_set_aside(struct pool *p, struct script *s)
{
    struct state *st = state_owner(s);
    if (st->set_aside)
        return;
    lock_acquire(&p->stock.lock);
    stock_set_aside_locked(&p->stock, st);
    lock_release(&p->stock.lock);
}

void pool_note_time(struct script *s, int64_t nanoseconds)
{
    struct state *st = state_owner(s);
    if (nanoseconds > 0)
        st->took += (uint64_t)nanoseconds;
}

void pool_checkin(struct pool *p, struct script *s, bool reusable)
{
    struct state *st = state_owner(s);
    size_t memory = state_memory(s);
    bool worn = st->max_requests > 0 && state_requests(s) >= st->max_requests;
    bool keep = reusable && (st->kind == STOCK_KEPT || st->set_aside) && !worn &&
                !is_failing(st) && state_is_current(s);
    if (keep) {
        lock_acquire(&p->stock.lock);
        keep = st->kind == STOCK_KEPT || stock_take_back_locked(&p->stock, st);
        if (keep) {
            stock_note_memory_locked(st, memory);
            stock_push_locked(&p->stock, st);
        }
        lock_release(&p->stock.lock);
    }
    if (!keep)
        stock_discard(&p->stock, st, true);
}

void pool_note_error(struct pool *p, struct script *s, const char *message)
{
    struct state *st = state_owner(s);
    note_error(&p->stock, st->entry, message);
}

/* -- All states -- */

int pool_evict(struct pool *p, const struct config *config, int count)
{
    int evicted = 0;
    while (evicted < count && stock_evict(&p->stock, config))
        evicted++;
    return evicted;
}

bool pool_is_closing(struct pool *p)
{
    lock_acquire(&p->stock.lock);
    bool some = p->stock.closing > 0;
    lock_release(&p->stock.lock);
    return some;
}

void pool_visit(struct pool *p, void (*visit)(const char *path, int states, void *arg),
                void *arg)
{
    struct table_walk w = {.table = &p->stock.table, .lock = &p->stock.lock};
    while (table_walk(&w) > 0)
        for (size_t i = 0; i < w.n; i++)
            if (w.states[i] > 0)
                visit(w.batch[i]->key.path, w.states[i], arg);
}

static void read_figures(struct stock *s, struct entry *e, struct pool_script *f)
{
    const struct entry_figures *from = &e->figures;
    *f = (struct pool_script){.path = e->key.path, .root = e->key.root};
    lock_acquire(&s->lock);
    f->idle = e->at_rest;
    f->busy = e->kept + e->extra - e->at_rest;
    f->waiting = e->aside;
    f->closing = e->closing;
    f->memory = from->memory;
    f->hits = from->hits;
    f->loads = from->loads;
    f->time = from->time;
    f->evictions = from->evictions;
    f->errors = from->errors;
    f->error_time = from->error_time;
    if (from->error != NULL)
        memcpy(f->error, from->error, strlen(from->error) + 1);
    lock_release(&s->lock);
}

void pool_read_scripts(struct pool *p,
                       void (*visit)(const struct pool_script *script, void *arg),
                       void *arg)
{
    struct table_walk w = {.table = &p->stock.table, .lock = &p->stock.lock};
    while (table_walk(&w) > 0)
        for (size_t i = 0; i < w.n; i++) {
            struct pool_script script;
            read_figures(&p->stock, w.batch[i], &script);
            visit(&script, arg);
        }
}

struct pool_figures pool_read(struct pool *p)
{
    struct stock *s = &p->stock;
    lock_acquire(&s->lock);
    struct pool_figures f = {.idle = s->at_rest,
                             .busy = s->kept + s->extra - s->at_rest,
                             .extra = s->extra,
                             .waiting = s->aside,
                             .memory = s->memory,
                             .loads = s->loads,
                             .evictions = s->evictions,
                             .extras = s->extras};
    lock_release(&s->lock);
    return f;
}

void pool_sweep(struct pool *p)
{
    stale_sweep(&p->stock, &p->swept);
}

size_t pool_states(const struct pool *p)
{
    return atomic_load(&p->stock.states);
}

/* -- Making and ending the pool -- */

struct pool *pool_create(void)
{
    struct pool *p = calloc(1, sizeof *p);
    if (p == NULL || !stock_init(&p->stock)) {
        free(p);
        return NULL;
    }
    return p;
}

void pool_close_idle(struct pool *p)
{
    stock_close_idle(&p->stock);
}

void pool_destroy(struct pool *p)
{
    if (p == NULL)
        return;
    stock_clear(&p->stock);
    stock_destroy(&p->stock);
    free(p);
}
