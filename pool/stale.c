/* Sweeping stale states. The sweeper runs it. For one entry after the other it takes the
 * idle states out of the stock, looks at them with no lock held, and puts back those that
 * are still current. Meanwhile checkouts of that entry wait (`examined`). */
#include "pool/stale.h"

#include "config.h"
#include "lua/script.h"
#include "lua/source.h"

/* What is taken out of an entry: its idle states, and its version if it is loaded. */
struct sample {
    struct link idle, stale;
    struct version *version;
    unsigned taken; /* 1: there were idle states */
};

static void take_out(struct stock *s, struct entry *e, struct sample *k)
{
    list_init(&k->idle);
    list_init(&k->stale);
    lock_acquire(&s->lock);
    k->taken = list_is_empty(&e->idle) ? 0 : 1;
    if (k->taken > 0)
        list_remove(&e->order);
    list_splice(&k->idle, &e->idle);
    e->examined += k->taken;
    k->version = version_ref_loaded_locked(e->version);
    lock_release(&s->lock);
}

static void sort_out(struct sample *k, const struct config *config)
{
    for (struct link *l = k->idle.next, *next; l != &k->idle; l = next) {
        next = l->next;
        struct state *st = CONTAINER(struct state, link, l);
        if (stock_is_current(st, config))
            continue;
        list_remove(l);
        list_append(&k->stale, l);
    }
}

/* Puts them behind the states that were checked in meanwhile, so that the newest are
 * still in front. */
static void put_back(struct stock *s, struct entry *e, struct sample *k)
{
    lock_acquire(&s->lock);
    list_splice(e->idle.prev, &k->idle);
    if (!list_is_empty(&e->idle))
        rank_order_locked(&s->ranks, e);
    e->examined -= k->taken;
    if (e->waiters > 0)
        pthread_cond_broadcast(&e->returned);
    lock_release(&s->lock);
}

static void sweep_entry(struct stock *s, struct entry *e, const struct config *config)
{
    struct sample k;
    take_out(s, e, &k);
    sort_out(&k, config);
    if (k.version != NULL && !version_is_current(k.version, config))
        version_forget(&e->version, &s->lock, k.version);
    version_unref(k.version);
    put_back(s, e, &k);
    while (!list_is_empty(&k.stale)) {
        struct state *st = CONTAINER(struct state, link, k.stale.next);
        list_remove(&st->link);
        stock_discard(s, st, false);
    }
}

/* A state that was found current just before a change may have been checked in just after
 * the first sweep that followed. So two sweeps must have seen the same. */
static bool nothing_to_sweep(struct stock *s, const struct stale_marks *marks,
                             unsigned epoch, unsigned generation)
{
    lock_acquire(&s->lock);
    bool nothing =
        epoch == marks->epoch && generation == marks->generation && marks->twice;
    lock_release(&s->lock);
    return nothing;
}

static void note_sweep(struct stock *s, struct stale_marks *marks, unsigned epoch,
                       unsigned generation)
{
    lock_acquire(&s->lock);
    marks->twice = epoch == marks->epoch && generation == marks->generation;
    marks->epoch = epoch;
    marks->generation = generation;
    lock_release(&s->lock);
}

/* If a new configuration comes during the sweep, this sweep stops, and the next one goes
 * by the new configuration: what was current by the old one need not be so any more. */
void stale_sweep(struct stock *s, struct stale_marks *marks)
{
    unsigned epoch = source_epoch(), generation = config_generation();
    if (nothing_to_sweep(s, marks, epoch, generation))
        return;
    struct config *config = config_current();
    struct table_walk w = {.table = &s->table, .lock = &s->lock};
    while (table_walk(&w) > 0)
        for (size_t i = 0; i < w.n && generation == config_generation(); i++)
            sweep_entry(s, w.batch[i], config);
    config_unref(config);
    note_sweep(s, marks, epoch, generation);
}
