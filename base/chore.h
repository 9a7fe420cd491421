/* Chores: long computations in C that scripts ask for, done by a thread of their own, one
 * after the other, so that all of them together take one processor and no worker.
 *
 * A chore is counted: who asked for it may go away meanwhile. */
#ifndef LUAFCGID2_BASE_CHORE_H
#define LUAFCGID2_BASE_CHORE_H

#include "base/waker.h"

#include <stdatomic.h>
#include <stdbool.h>

/* Begins a struct that has what `run` needs and what it finds. Other threads look at the
 * latter only after chore_is_done. */
struct chore {
    void (*run)(struct chore *c);  /* immutable */
    void (*free)(struct chore *c); /* immutable */
    atomic_uint references;        /* 1 to begin with, the caller's */
    atomic_bool done;
    struct waker *waker; /* woken when it is done; a reference of the chore's own */
    struct chore *next;  /* of those that wait; the lock in base/chore.c */
};

/* Gives a chore whose first three fields are set to the thread, which is started if need
 * be, and takes a reference for it. A chore that has no other reference when its turn
 * comes is not run. false: there is no thread, and nothing has happened. Any thread; does
 * not block. */
bool chore_begin(struct chore *c, struct waker *waker);

bool chore_is_done(const struct chore *c);

/* At the end of the process, once nobody waits for a chore: from now on none begins, and
 * the one that runs wakes nobody. Does not wait for it. */
void chores_stop(void);

/* Any thread. */
void chore_unref(struct chore *c);

#endif
