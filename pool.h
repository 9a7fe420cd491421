/* The pool: every script in memory, found by path, and its idle Lua states.
 *
 * One mutex guards the table, the idle stacks and the eviction order; it is held for a
 * few pointer operations at a time. Files are read, Lua is compiled, run and closed with
 * no lock held. A state that is checked out belongs to its worker alone. */
#ifndef LUAFCGID2_POOL_H
#define LUAFCGID2_POOL_H

#include "config.h"
#include "lua/script.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct pool;

/* NULL: out of memory. */
struct pool *pool_create(void);

/* At the end: hands every idle state to the closers (pool/closer.h). */
void pool_close_idle(struct pool *p);

/* Closes the idle states that are left. No state may be checked out or with the closers
 * any more. */
void pool_destroy(struct pool *p);

/* A state of the script at `path`, served for document root `root`, ready to run. It is
 * the caller's until pool_checkin. Idle states are taken newest first. If there is none,
 * a state is made (the first time LuaStates of them), within LuaMaxStates and
 * LuaTotalStates; the oldest idle state of the script least asked for may be evicted for
 * it. If the limits allow none, the call waits briefly, LuaMaxSearchRetries times, for a
 * state to come back. After that it makes an extra one, which is closed at its check-in.
 * While many states are still being closed, it waits for that before it makes one, for a
 * second at most. Concurrent first requests compile once. NULL with `error` filled.
 * Blocks for as long as the script's own loading takes. */
struct script *pool_checkout(struct pool *p, const char *path, const char *root,
                             struct config *config, struct script_error *error);

/* The request of a state that is checked out waits: from now on the state is beside
 * LuaMaxStates and LuaTotalStates, and its place is free for another. */
void pool_set_aside(struct pool *p, struct script *s);

/* How long the request took for which the caller has the state `s`. It is added to the
 * script's time when the state is given back. */
void pool_note_time(struct script *s, int64_t nanoseconds);

/* Gives a state back. It is kept, unless it is not `reusable`, is extra or stale, or is
 * to be renewed by LuaMaxRequests or LuaMaxErrors: then it goes to the closers. One that
 * was set aside is kept if there is room for it. */
void pool_checkin(struct pool *p, struct script *s, bool reusable);

/* Counts a request that failed by the fault of the script whose state `s` the caller has.
 * pool_checkout does so for its own errors. */
void pool_note_error(struct pool *p, struct script *s, const char *message);

/* Sweeper: hands idle states that are no longer current to the closers, and forgets what
 * is known of changed files. Call after source_sweep or a reload. */
void pool_sweep(struct pool *p);

/* Hands up to `count` idle states to the closers, in the order in which a full pool would
 * evict them. Returns how many. */
int pool_evict(struct pool *p, const struct config *config, int count);

/* Whether the closers have states that they have not closed yet. */
bool pool_is_closing(struct pool *p);

/* Calls visit(path, states, arg) for every script that has states, once for each document
 * root. Busy states count. No lock is held during the calls. */
void pool_visit(struct pool *p, void (*visit)(const char *path, int states, void *arg),
                void *arg);

enum { POOL_ERROR = 256 }; /* bytes of an error's text, with its NUL */

/* A script, for one document root. The texts are borrowed for the call. */
struct pool_script {
    const char *path, *root;
    int idle, busy, closing; /* states; busy ones are used, or being made */
    int waiting;        /* of the busy ones, those whose request waits or has waited */
    size_t memory;      /* bytes of its states, each as at its last check-in */
    uint64_t hits;      /* checkouts */
    uint64_t loads;     /* states made, or tried to */
    uint64_t time;      /* ns that its requests have taken (pool_note_time) */
    uint64_t evictions; /* idle states that made room for those of other scripts */
    uint64_t errors;    /* requests that failed by its fault, */
    time_t error_time;  /* when the last of them did, and how; "": none */
    char error[POOL_ERROR];
};

/* Calls visit(script, arg) for every script that is known. No lock is held during the
 * calls. What one call tells was so at one moment. */
void pool_read_scripts(struct pool *p,
                       void (*visit)(const struct pool_script *script, void *arg),
                       void *arg);

/* All scripts together, at one moment. */
struct pool_figures {
    int idle, busy, extra; /* states; extra ones are counted in the other two as well */
    int waiting;           /* as of a script */
    size_t memory;
    uint64_t loads, evictions, extras; /* since the start */
};

struct pool_figures pool_read(struct pool *p);

/* All states in memory: idle, busy, being closed. Cheap: one atomic load. */
size_t pool_states(const struct pool *p);

/* Whether the calling thread holds a pool's lock: for assertions in tests. */
bool pool_is_locked_here(void);

#endif
