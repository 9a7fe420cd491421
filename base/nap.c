/* Naps. A nap belongs to the thread that takes it; any thread wakes it. Its own lock
 * guards it. */
#include "base/nap.h"

#include "base/clock.h"

void nap_begin(struct nap *n)
{
    n->over = n->woken = false;
    clock_init_condition(&n->changed);
}

bool nap_take(struct nap *n, int64_t length)
{
    struct timespec until = clock_after(length);
    pthread_mutex_lock(&n->lock);
    while (!n->over && !n->woken &&
           pthread_cond_timedwait(&n->changed, &n->lock, &until) == 0)
        ;
    n->woken = false;
    bool go_on = !n->over;
    pthread_mutex_unlock(&n->lock);
    return go_on;
}

static void set_flag(struct nap *n, bool *flag)
{
    pthread_mutex_lock(&n->lock);
    *flag = true;
    pthread_cond_broadcast(&n->changed);
    pthread_mutex_unlock(&n->lock);
}

void nap_wake(struct nap *n)
{
    set_flag(n, &n->woken);
}

void nap_end(struct nap *n)
{
    set_flag(n, &n->over);
}
