/* The pool's lock. Workers, the sweeper and the closers take it; nobody takes another
 * lock while holding it. pool/entry.h, pool/table.h, pool/rank.h and pool/stock.h say
 * what it guards. */
#include "pool/lock.h"

#include <assert.h>
#include <time.h>

static _Thread_local bool holding;

bool lock_init(struct lock *l)
{
    return pthread_mutex_init(&l->mutex, NULL) == 0;
}

void lock_destroy(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
}

void lock_acquire(struct lock *l)
{
    assert(!holding);
    int error = pthread_mutex_lock(&l->mutex);
    assert(error == 0);
    (void)error;
    holding = true;
}

void lock_release(struct lock *l)
{
    holding = false;
    pthread_mutex_unlock(&l->mutex);
}

void lock_wait_locked(struct lock *l, pthread_cond_t *condition, int64_t until)
{
    struct timespec t = {.tv_sec = (time_t)(until / 1000000000),
                         .tv_nsec = (long)(until % 1000000000)};
    holding = false;
    if (until == 0)
        pthread_cond_wait(condition, &l->mutex);
    else
        pthread_cond_timedwait(condition, &l->mutex, &t);
    holding = true;
}

bool lock_is_held_here(void)
{
    return holding;
}
