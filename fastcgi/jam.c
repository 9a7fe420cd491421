/* Whether requests wait because every worker is busy.
 *
 * Runs in workers, which count themselves in and out of the poller, and in the governor.
 * Owns the set's struct jam. `jam.lock`, a leaf, guards no data: it is for the condition
 * on which the governor sleeps. A worker takes it only when it is the last free one and
 * the governor sleeps.
 *
 * The governor looks into the poller as a worker does, but takes no request. A mark tells
 * how long a request has waited: it is the number of connections that were deferred until
 * then. Once as many have been taken, all that waited then have been. */
#include "fastcgi/jam.h"

#include "base/clock.h"
#include "fastcgi/accept.h"
#include "fastcgi/poller.h"
#include "fastcgi/slot.h"
#include "fastcgi/waiter.h"
#include <errno.h>

enum { MOST_EVENTS = 256 /* taken in one look */ };

void jam_init(struct connections *set)
{
    pthread_mutex_init(&set->jam.lock, NULL);
    clock_init_condition(&set->jam.busy);
}

void jam_destroy(struct connections *set)
{
    pthread_cond_destroy(&set->jam.busy);
    pthread_mutex_destroy(&set->jam.lock);
}

/* -- Workers -- */

static void wake_governor(struct jam *j)
{
    pthread_mutex_lock(&j->lock);
    atomic_store(&j->awaited, false);
    pthread_cond_signal(&j->busy);
    pthread_mutex_unlock(&j->lock);
}

void jam_enter(struct connections *set)
{
    atomic_fetch_add(&set->jam.idle, 1);
}

/* Either this sees that the governor sleeps, or the governor sees that no worker is free
 * (all is sequentially consistent). */
void jam_leave(struct connections *set)
{
    struct jam *j = &set->jam;
    if (atomic_fetch_sub(&j->idle, 1) == 1 && atomic_load(&j->awaited))
        wake_governor(j);
}

bool jam_take_dismissal(struct connections *set)
{
    struct jam *j = &set->jam;
    int leavers = atomic_load(&j->leavers);
    while (leavers > 0)
        if (atomic_compare_exchange_weak(&j->leavers, &leavers, leavers - 1)) {
            if (leavers > 1)
                poller_kick(set->poller);
            return true;
        }
    return false;
}

/* -- The governor -- */

int jam_idle(const struct connections *set)
{
    return atomic_load(&((struct connections *)set)->jam.idle);
}

static bool is_stopping(struct connections *set)
{
    return atomic_load(&set->stopping);
}

bool jam_await_busy(struct connections *set, int64_t timeout)
{
    struct jam *j = &set->jam;
    struct timespec until = clock_after(timeout < 0 ? 0 : timeout);
    int error = 0;
    pthread_mutex_lock(&j->lock);
    atomic_store(&j->awaited, true);
    while (atomic_load(&j->awaited) && atomic_load(&j->idle) > 0 && !is_stopping(set) &&
           error == 0)
        error = timeout < 0 ? pthread_cond_wait(&j->busy, &j->lock)
                            : pthread_cond_timedwait(&j->busy, &j->lock, &until);
    atomic_store(&j->awaited, false);
    pthread_mutex_unlock(&j->lock);
    return error == 0 && !is_stopping(set);
}

/* What a kick was for is done by the worker that the next kick wakes. */
static void sort_out_event(struct connections *set, const struct poller_event *event)
{
    struct connection *c, *owned = NULL;
    if (event->cookie == LISTENER_COOKIE)
        accept_for_others(set);
    else if (event->cookie != POLLER_KICKED && event->cookie != POLLER_WOKEN &&
             !waiters_on_event(set, event) &&
             (c = slot_claim(set, event, &owned)) != NULL)
        slot_sort_out(set, c);
    if (owned != NULL)
        waiters_on_peer(set, owned, event->hangup);
}

static bool anyone_waits(struct connections *set)
{
    return atomic_load(&set->any_deferred) || waiters_are_ready(set) ||
           accept_is_due(set);
}

/* A kick that was taken may have been for what is still to be done. */
static void kick_if_due(struct connections *set)
{
    if (atomic_load(&set->any_deferred) || waiters_are_ready(set) ||
        atomic_load(&set->accept_again) || atomic_load(&set->paused) ||
        atomic_load(&set->jam.leavers) > 0)
        poller_kick(set->poller);
}

bool jam_await_request(struct connections *set, int timeout)
{
    struct poller_event event;
    if (anyone_waits(set))
        return !is_stopping(set);
    if (!poller_look(set->poller, timeout))
        return false;
    slots_borrow(set);
    for (int i = 0; i < MOST_EVENTS && !is_stopping(set); i++) {
        if (jam_idle(set) > 0 || poller_wait(set->poller, 0, &event) <= 0)
            break;
        sort_out_event(set, &event);
    }
    slots_return(set);
    kick_if_due(set);
    return anyone_waits(set) && !is_stopping(set);
}

/* How many were deferred, or taken of those, until now. */
static unsigned count_of(struct connections *set, const unsigned *count)
{
    pthread_mutex_lock(&set->lock);
    unsigned n = *count;
    pthread_mutex_unlock(&set->lock);
    return n;
}

void jam_mark(struct connections *set)
{
    set->jam.marked = count_of(set, &set->enqueued);
    set->jam.marked_ready = waiters_mark(set);
    set->jam.marked_listener = accept_is_due(set);
}

bool jam_is_passed(struct connections *set)
{
    struct jam *j = &set->jam;
    if (is_stopping(set))
        return true;
    return (int)(count_of(set, &set->dequeued) - j->marked) >= 0 &&
           waiters_are_passed(set, j->marked_ready) &&
           !(j->marked_listener && accept_is_due(set));
}

void jam_dismiss(struct connections *set, int count)
{
    atomic_store(&set->jam.leavers, count);
    if (count > 0)
        poller_kick(set->poller);
}

void jam_stop(struct connections *set)
{
    wake_governor(&set->jam);
}
