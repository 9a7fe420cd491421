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

struct pool;

/* NULL: out of memory. */
struct pool *pool_create(void);

/* Hands every idle state to the closers (pool/closer.h): at the end. */
void pool_close_idle(struct pool *p);

/* Closes idle states that there still are. Nothing may be checked out, or with the
 * closers, any more. */
void pool_destroy(struct pool *p);

/* A state of the script at `path`, served for document root `root`, ready to run and the
 * caller's until pool_checkin. Idle states are taken newest first. Without one: makes one
 * (LuaStates of them the first time) within LuaMaxStates and LuaTotalStates, evicting the
 * oldest idle state of the script least asked for; else waits briefly,
 * LuaMaxSearchRetries times, for one to come back; else makes an extra one, closed at its
 * check-in. While many states of the script are still being closed it waits for that, a
 * second at most, before it makes one. Concurrent first requests compile once. NULL with
 * `error` filled. Blocks for as long as the script's own loading takes. */
struct script *pool_checkout(struct pool *p, const char *path, const char *root,
                             struct config *config, struct script_error *error);

/* Gives it back. It goes to the closers, instead of being kept, when not `reusable`,
 * extra, stale, or renewed by LuaMaxRequests or LuaMaxErrors. */
void pool_checkin(struct pool *p, struct script *s, bool reusable);

/* Sweeper: hands idle states that are no longer current to the closers and forgets what
 * is known of changed files. Call after source_sweep or a reload. */
void pool_sweep(struct pool *p);

/* Closes up to `count` idle states, in the order in which others would take their places.
 * Returns how many. The closers close them, soon. */
int pool_evict(struct pool *p, const struct config *config, int count);

/* Calls visit(path, states, arg) for every script with loaded states, busy ones counted;
 * once for each document root that it is served for. Works on a snapshot: no lock is held
 * during the calls. */
void pool_visit(struct pool *p, void (*visit)(const char *path, int states, void *arg),
                void *arg);

/* All states in memory: idle, busy, being closed. Cheap: one atomic load. */
size_t pool_states(const struct pool *p);

/* Whether the calling thread holds a pool's lock: for assertions in tests. */
bool pool_is_locked_here(void);

#endif
