/* The pool's one lock: a mutex, under which threads wait for conditions that were made by
 * clock_init_condition. It is held for a few pointer operations at a time; files are
 * read, and Lua is compiled, run and closed, with no lock held. Debug builds assert that
 * a thread that holds it does not take it again. */
#ifndef LUAFCGID2_POOL_LOCK_H
#define LUAFCGID2_POOL_LOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct lock {
    pthread_mutex_t mutex;
};

/* false: not possible; then there is nothing to destroy. */
bool lock_init(struct lock *l);
void lock_destroy(struct lock *l);

void lock_acquire(struct lock *l);
void lock_release(struct lock *l);

/* Lets go of the lock until the condition is signalled, or until the moment `until` as
 * clock_nanoseconds counts; 0 for no limit. May return early. */
void lock_wait_locked(struct lock *l, pthread_cond_t *condition, int64_t until);

/* Whether the calling thread holds a lock of this kind: for assertions in tests. */
bool lock_is_held_here(void);

#endif
