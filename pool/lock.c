/* The pool's lock. Workers, the sweeper and the closers take it; nobody takes another
 * lock while holding it. What it guards is said in pool/entry.h, pool/table.h,
 * pool/rank.h and pool/stock.h. */
#include "pool/lock.h"

#include <assert.h>
#include <time.h>

static _Thread_local bool holding;

static bool init_attributes(pthread_condattr_t *attributes)
{
    if (pthread_condattr_init(attributes) != 0)
        return false;
    if (pthread_condattr_setclock(attributes, CLOCK_MONOTONIC) == 0)
        return true;
    pthread_condattr_destroy(attributes);
    return false;
}

bool lock_init(struct lock *l)
{
    if (!init_attributes(&l->monotonic))
        return false;
    if (pthread_mutex_init(&l->mutex, NULL) == 0)
        return true;
    pthread_condattr_destroy(&l->monotonic);
    return false;
}

void lock_destroy(struct lock *l)
{
    pthread_mutex_destroy(&l->mutex);
    pthread_condattr_destroy(&l->monotonic);
}

bool lock_init_condition(const struct lock *l, pthread_cond_t *condition)
{
    return pthread_cond_init(condition, &l->monotonic) == 0;
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
