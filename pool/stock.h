/* The stock: the Lua states of all scripts, how many there may be, and which are idle.
 *
 * Every state has a place, which is claimed before the state is made, and given back when
 * it goes to the closers (pool/closer.h). So no request waits for the finalizers of
 * another script. Places are counted in the entry and in the stock. States that requests
 * have left to the closers are counted as charged: a script whose states are made faster
 * than they are closed must wait.
 *
 * A state that is checked out, or that the sweeper has taken out, belongs to that thread
 * alone. The lock is held for a few pointer operations at a time. */
#ifndef LUAFCGID2_POOL_STOCK_H
#define LUAFCGID2_POOL_STOCK_H

#include "base/list.h"
#include "config.h"
#include "pool/closer.h"
#include "pool/entry.h"
#include "pool/lock.h"
#include "pool/rank.h"
#include "pool/table.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* `lock` guards all of it but the number of states. */
struct stock {
    struct lock lock;
    struct table table;
    struct ranks ranks;
    int kept, closing, charged; /* of all entries together */
    int at_rest, extra, aside;  /* the same */
    uint64_t loads, evictions, extras;
    size_t memory;        /* bytes of all states, each as at its last check-in */
    atomic_size_t states; /* made and not closed */
};

/* Whether a place counts in LuaMaxStates and LuaTotalStates, or is beside them. */
enum stock_kind { STOCK_KEPT, STOCK_EXTRA };

/* A place for a state that is to be made. Zeroed before it is claimed. */
struct stock_place {
    int id;
    enum stock_kind kind;
    bool first;           /* the script had no state at all */
    struct state *victim; /* evicted for it; stock_create hands it to the closers */
};

/* One Lua state. While it is checked out, only its owner touches this. */
struct state {
    struct closing closing; /* the closers' */
    struct stock *stock;    /* immutable, for the closers */
    bool charged;           /* a request left it behind */
    struct link link;       /* lock; in its entry's idle list */
    struct entry *entry;
    struct script *script;
    struct config *config; /* what it was made with; borrowed from the script */
    unsigned max_requests; /* 0: no limit */
    unsigned max_errors;   /* in a row; 0: no limit */
    int id;
    enum stock_kind kind;
    bool at_rest;   /* lock; counted so in the entry */
    size_t memory;  /* lock; counted in the entry */
    bool set_aside; /* beside the limits, because its request waits or has waited */
    uint64_t took;  /* ns that requests have taken and that the entry does not have yet */
};

/* false: out of memory. */
bool stock_init(struct stock *s);
void stock_destroy(struct stock *s); /* without entries, as after stock_clear */

/* -- Places -- */

/* Claims a place within the limits of `config`. With LuaTotalStates states it evicts one
 * if `evict`. false: there is none, or every state is busy. */
bool stock_claim_locked(struct stock *s, struct entry *e, const struct config *config,
                        bool evict, struct stock_place *place);

/* Claims a place beside the limits. */
void stock_claim_extra_locked(struct stock *s, struct entry *e,
                              struct stock_place *place);

/* A state that is checked out moves beside the limits, because its request waits. */
void stock_set_aside_locked(struct stock *s, struct state *st);

/* It comes back: it gets a place within the limits of its configuration. false: there is
 * none. */
bool stock_take_back_locked(struct stock *s, struct state *st);

/* Makes a state at a claimed place, of an entry that is pinned and whose version the
 * caller holds. NULL with `error` filled, and the place is given back. No lock held; runs
 * the script's file. */
struct state *stock_create(struct stock *s, struct entry *e, const struct version *v,
                           struct config *config, const struct stock_place *place,
                           struct script_error *error);

/* -- Idle states -- */

/* The state becomes idle, as the newest of its entry. */
void stock_push_locked(struct stock *s, struct state *st);

/* Notes how many bytes the state has. By its owner. */
void stock_note_memory_locked(struct state *st, size_t memory);

/* Takes out the newest idle state; NULL: there is none. */
struct state *stock_pop_locked(struct stock *s, struct entry *e);

/* Whether the state was made with this configuration, from files that are as they were.
 * By whoever has the state; no lock held. */
bool stock_is_current(const struct state *st, const struct config *config);

/* -- Leaving. No lock held; the closers close the states soon after. -- */

/* Hands a state that is the caller's to the closers. `charged`: a request left it behind.
 */
void stock_discard(struct stock *s, struct state *st, bool charged);

/* Hands them the idle state that is to go first. false: all states are busy. */
bool stock_evict(struct stock *s, const struct config *config);

/* Hands them every idle state. */
void stock_close_idle(struct stock *s);

/* The same, and forgets every script. Nothing may be checked out any more. */
void stock_clear(struct stock *s);

#endif
