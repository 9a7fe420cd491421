/* Requests that wait without a thread.
 *
 * Runs in every thread that begins or ends a wait: workers, the governor, and whoever
 * wakes. Owns the table of those that are counted, by which an event of a descriptor
 * finds its waiter; a heap of their moments, behind the poller's one timer; and the list
 * of ready ones.
 *
 * `lock`, a leaf, guards all of that, the fields of a waiter that say so, and `waiter` of
 * a connection. It is held for a few steps of a heap, or a system call that does not
 * wait. What happens before a wait has begun is not lost: the latch of the waker, the
 * state word of the connection, `early` of the waiter, and `stopping` of the set keep it,
 * and waiter_begin looks at them under the lock. */
#include "fastcgi/waiter.h"

#include "base/clock.h"
#include "fastcgi/abort.h"
#include "fastcgi/poller.h"
#include "fastcgi/slot.h"
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    INDEX_BITS = 20, /* of a cookie, as those of connections; the rest is a generation */
    INDEX_MASK = (1 << INDEX_BITS) - 1,
    FIRST_INDEX = MAX_SLOTS,
    TICK = 1000000, /* ns: moments so close to each other share one timer */
};

_Static_assert(FIRST_INDEX + WAITER_MOST < INDEX_MASK - 16, "cookies are told apart");

enum state { IDLE, COUNTED, WAITING, READY };

struct waiter {
    struct waker waker;      /* first; atomic */
    struct connections *set; /* immutable, as is `owner` */
    void *owner;
    enum state state;        /* lock */
    unsigned index;          /* lock; in the table, unless it is idle */
    uint32_t cookie;         /* the same for the poller; set when it is counted */
    unsigned early;          /* lock; what its descriptor told before it waited */
    struct awaited awaited;  /* lock, while it waits */
    size_t place;            /* lock; 1 + in the heap; 0: not there */
    struct connection *peer; /* lock; while it waits */
    struct waiter *next;     /* lock; of the list of ready ones */
    int fd;                  /* the owner's: a duplicate of the script's, or -1 */
};

struct entry {
    struct waiter *waiter; /* NULL: free */
    uint32_t generation;
    size_t next_free; /* 1 + index; 0: none */
};

struct waiters {
    pthread_mutex_t lock;
    struct entry *table; /* lock, as are all that follow */
    size_t used, cap;    /* of the table; the heap has as much room */
    size_t free;         /* 1 + index */
    struct waiter **heap;
    size_t timed;                /* waiters in the heap */
    int64_t armed;               /* the moment of the timer; INT64_MAX: none */
    unsigned count;              /* counted, waiting or ready */
    unsigned enqueued, dequeued; /* so many were ready, and taken, ever; they wrap */
    struct waiter *ready, **ready_end;
    atomic_bool any_ready; /* read without the lock */
};

/* -- The heap -- */

static void put(struct waiters *all, size_t i, struct waiter *w)
{
    all->heap[i] = w;
    w->place = i + 1;
}

static void rise(struct waiters *all, size_t i, struct waiter *w)
{
    while (i > 0) {
        size_t above = (i - 1) / 2;
        if (all->heap[above]->awaited.until <= w->awaited.until)
            break;
        put(all, i, all->heap[above]);
        i = above;
    }
    put(all, i, w);
}

static void sink(struct waiters *all, size_t i, struct waiter *w)
{
    for (;;) {
        size_t below = 2 * i + 1;
        if (below + 1 < all->timed &&
            all->heap[below + 1]->awaited.until < all->heap[below]->awaited.until)
            below++;
        if (below >= all->timed || all->heap[below]->awaited.until >= w->awaited.until)
            break;
        put(all, i, all->heap[below]);
        i = below;
    }
    put(all, i, w);
}

static void leave_heap(struct waiters *all, struct waiter *w)
{
    if (w->place == 0)
        return;
    size_t i = w->place - 1;
    struct waiter *last = all->heap[--all->timed];
    w->place = 0;
    if (last == w)
        return;
    rise(all, i, last);
    sink(all, last->place - 1, last);
}

/* The moment is rounded up, so that a crowd needs few timers and nobody is early. */
static void set_timer_locked(struct connections *set)
{
    struct waiters *all = set->waiters;
    int64_t first = all->timed > 0 ? all->heap[0]->awaited.until : INT64_MAX;
    if (first >= all->armed)
        return;
    all->armed = first <= INT64_MAX - TICK ? first - first % TICK + TICK : first;
    poller_set_timer(set->poller, all->armed);
}

/* -- From one state to the next -- */

/* true: no other was ready. */
static bool make_ready_locked(struct connections *set, struct waiter *w, unsigned came)
{
    struct waiters *all = set->waiters;
    bool first = all->ready == NULL;
    leave_heap(all, w);
    if (w->peer != NULL) {
        atomic_store(&w->peer->waits, false);
        w->peer->waiter = NULL;
    }
    w->peer = NULL;
    w->awaited.came = came;
    w->state = READY;
    w->next = NULL;
    *all->ready_end = w;
    all->ready_end = &w->next;
    all->enqueued++;
    atomic_store(&all->any_ready, true);
    return first;
}

/* A stop ends waits that may be long. A peer is given the time that a stop has. */
static bool ends_by_stop(const struct waiter *w)
{
    return (w->awaited.what & (AWAITED_INPUT | AWAITED_OUTPUT)) == 0;
}

/* Whether the peer has closed its end or, with `news`, has aborted the request. */
static bool is_over(struct connection *c, bool news)
{
    return slot_is_hung(c) || (news && abort_has_come(c, true));
}

/* What has come before the wait began. */
static unsigned look_locked(struct waiter *w)
{
    unsigned what = w->awaited.what, came = w->early & what;
    if (atomic_load(&w->set->stopping) && ends_by_stop(w))
        came |= AWAITED_END;
    if ((what & AWAITED_WAKER) != 0 && waker_is_woken(&w->waker))
        came |= AWAITED_WAKER;
    if (w->peer == NULL)
        return came;
    if (is_over(w->peer, slot_has_news(w->peer)))
        came |= AWAITED_END;
    if ((what & (AWAITED_INPUT | AWAITED_OUTPUT)) != 0 && slot_take_news(w->peer))
        came |= what & (AWAITED_INPUT | AWAITED_OUTPUT);
    return came;
}

/* The end of the list of ready ones is kept awake: whoever makes it longer than nothing
 * kicks, and whoever was kicked and leaves something kicks the next. */
static void unlock_and_kick(struct connections *set, bool kick)
{
    pthread_mutex_unlock(&set->waiters->lock);
    if (kick)
        poller_kick(set->poller);
}

static void on_wake(struct waker *waker)
{
    struct waiter *w = (struct waiter *)waker;
    struct connections *set = w->set;
    bool kick = false;
    pthread_mutex_lock(&set->waiters->lock);
    if (w->state == WAITING && (w->awaited.what & AWAITED_WAKER) != 0)
        kick = make_ready_locked(set, w, AWAITED_WAKER);
    unlock_and_kick(set, kick);
}

static void on_death(struct waker *waker)
{
    free(waker);
}

/* -- A request's side -- */

struct waiter *waiter_create(struct connections *set, void *owner)
{
    struct waiter *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    waker_init(&w->waker, on_wake, on_death);
    w->set = set;
    w->owner = owner;
    w->fd = -1;
    return w;
}

void waiter_destroy(struct waiter *w)
{
    if (w != NULL)
        waker_unref(&w->waker);
}

void *waiter_owner(const struct waiter *w)
{
    return w->owner;
}

struct waker *waiter_waker(struct waiter *w)
{
    return &w->waker;
}

/* Room for one more in the table, and in the heap. */
static bool grow_locked(struct waiters *all)
{
    if (all->free != 0 || all->used < all->cap)
        return true;
    size_t cap = all->cap == 0 ? 64 : all->cap * 2;
    struct entry *table = realloc(all->table, cap * sizeof *table);
    if (table == NULL)
        return false;
    all->table = table;
    struct waiter **heap = realloc(all->heap, cap * sizeof *heap);
    if (heap == NULL)
        return false;
    all->heap = heap;
    all->cap = cap;
    return true;
}

static void count_locked(struct waiters *all, struct waiter *w)
{
    size_t i = all->free != 0 ? all->free - 1 : all->used++;
    struct entry *e = &all->table[i];
    if (all->free != 0)
        all->free = e->next_free;
    else
        e->generation = 0;
    e->waiter = w;
    w->index = (unsigned)i;
    w->cookie = (uint32_t)(FIRST_INDEX + i) | (uint32_t)e->generation << INDEX_BITS;
    w->early = 0;
    w->state = COUNTED;
    all->count++;
}

/* A late event of a descriptor finds another generation. */
static void uncount_locked(struct waiters *all, struct waiter *w)
{
    struct entry *e = &all->table[w->index];
    e->waiter = NULL;
    e->generation++;
    e->next_free = all->free;
    all->free = w->index + 1;
    all->count--;
    w->state = IDLE;
}

bool waiter_claim(struct waiter *w, int most)
{
    struct waiters *all = w->set->waiters;
    pthread_mutex_lock(&all->lock);
    bool ok = w->state == COUNTED || (all->count < (unsigned)most &&
                                      all->count < WAITER_MOST && grow_locked(all));
    if (ok && w->state == IDLE)
        count_locked(all, w);
    pthread_mutex_unlock(&all->lock);
    return ok;
}

void waiter_drop(struct waiter *w)
{
    struct waiters *all = w->set->waiters;
    pthread_mutex_lock(&all->lock);
    if (w->state == COUNTED)
        uncount_locked(all, w);
    pthread_mutex_unlock(&all->lock);
}

/* The script's descriptor may be closed meanwhile, its number used again, or several may
 * wait for it. So a duplicate is watched. Returns what has come at once: what cannot be
 * watched never waits. */
static unsigned watch_descriptor(struct waiter *w, const struct awaited *what)
{
    unsigned wanted = what->what & (AWAITED_READ | AWAITED_WRITE);
    if (wanted == 0)
        return 0;
    w->fd = fcntl(what->fd, F_DUPFD_CLOEXEC, 0);
    if (w->fd >= 0 &&
        poller_watch_once(w->set->poller, w->fd, w->cookie, (wanted & AWAITED_READ) != 0,
                          (wanted & AWAITED_WRITE) != 0))
        return 0;
    return wanted;
}

static void wait_locked(struct waiter *w, struct connection *c,
                        const struct awaited *what)
{
    struct waiters *all = w->set->waiters;
    w->awaited = *what;
    w->state = WAITING;
    w->peer = c;
    if (c != NULL) {
        c->waiter = w;
        atomic_store(&c->waits, true);
    }
    if (what->until != AWAITED_FOREVER)
        rise(all, all->timed++, w);
}

/* What the poller cannot tell of the peer, a later write will. */
void waiter_begin(struct waiter *w, struct connection *c, const struct awaited *what)
{
    struct connections *set = w->set;
    bool kick = false;
    unsigned came = watch_descriptor(w, what);
    if (c != NULL)
        slot_watch(set, c, (what->what & AWAITED_OUTPUT) != 0);
    pthread_mutex_lock(&set->waiters->lock);
    wait_locked(w, c, what);
    came |= look_locked(w);
    if (came != 0)
        kick = make_ready_locked(set, w, came);
    else
        set_timer_locked(set);
    unlock_and_kick(set, kick);
}

/* What the descriptor is ready for, as several events may have come, or one for both. */
static unsigned look_at_descriptor(const struct waiter *w, unsigned came)
{
    unsigned what = w->awaited.what;
    struct pollfd p = {.fd = w->fd,
                       .events = (short)((what & AWAITED_READ ? POLLIN : 0) |
                                         (what & AWAITED_WRITE ? POLLOUT : 0))};
    if (w->fd < 0 || poll(&p, 1, 0) <= 0 || (p.revents & ~(POLLIN | POLLOUT)) != 0)
        return came;
    return (p.revents & POLLIN ? AWAITED_READ : 0u) |
           (p.revents & POLLOUT ? AWAITED_WRITE : 0u);
}

unsigned waiter_end(struct waiter *w)
{
    const unsigned both = AWAITED_READ | AWAITED_WRITE;
    unsigned came = w->awaited.came;
    if ((came & both) != 0)
        came = (came & ~both) | look_at_descriptor(w, came & both);
    if (w->fd >= 0) {
        poller_forget(w->set->poller, w->fd);
        close(w->fd);
        w->fd = -1;
    }
    return came;
}

/* -- Events -- */

static void on_descriptor_locked(struct connections *set, uint32_t cookie)
{
    struct waiters *all = set->waiters;
    size_t i = (cookie & INDEX_MASK) - FIRST_INDEX;
    struct waiter *w = i < all->used ? all->table[i].waiter : NULL;
    if (w == NULL || w->cookie != cookie)
        return;
    unsigned both = AWAITED_READ | AWAITED_WRITE;
    if (w->state == WAITING)
        make_ready_locked(set, w, w->awaited.what & both);
    else if (w->state == COUNTED)
        w->early = both;
}

static void on_timer_locked(struct connections *set)
{
    struct waiters *all = set->waiters;
    int64_t now = clock_nanoseconds();
    while (all->timed > 0 && all->heap[0]->awaited.until <= now)
        make_ready_locked(set, all->heap[0], 0);
    all->armed = INT64_MAX;
    set_timer_locked(set);
}

bool waiters_on_event(struct connections *set, const struct poller_event *event)
{
    uint32_t index = event->cookie & INDEX_MASK;
    bool timer = event->cookie == POLLER_TIMER;
    if (!timer && (index < FIRST_INDEX || index >= FIRST_INDEX + WAITER_MOST))
        return false;
    pthread_mutex_lock(&set->waiters->lock);
    if (timer)
        on_timer_locked(set);
    else
        on_descriptor_locked(set, event->cookie);
    pthread_mutex_unlock(&set->waiters->lock);
    return true;
}

/* Bytes of the next request, or the rest of a body, wake nobody who does not want them,
 * but for the record that aborts the request. A hangup is looked for in the state word,
 * which tells it from that of an earlier connection in the same slot. */
bool waiters_on_peer(struct connections *set, struct connection *c, bool hangup)
{
    if (!atomic_load(&c->waits))
        return false;
    pthread_mutex_lock(&set->waiters->lock);
    struct waiter *w = c->waiter;
    unsigned came = 0;
    if (w != NULL && !hangup)
        came = w->awaited.what & (AWAITED_INPUT | AWAITED_OUTPUT);
    if (w != NULL && is_over(c, !hangup))
        came |= AWAITED_END;
    if (came != 0)
        make_ready_locked(set, w, came);
    pthread_mutex_unlock(&set->waiters->lock);
    return came != 0;
}

/* -- Ready ones -- */

bool waiters_are_ready(struct connections *set)
{
    return atomic_load(&set->waiters->any_ready);
}

struct waiter *waiters_take(struct connections *set)
{
    struct waiters *all = set->waiters;
    if (!waiters_are_ready(set))
        return NULL;
    pthread_mutex_lock(&all->lock);
    struct waiter *w = all->ready;
    if (w != NULL) {
        all->ready = w->next;
        if (w->next == NULL)
            all->ready_end = &all->ready;
        all->dequeued++;
        uncount_locked(all, w);
    }
    atomic_store(&all->any_ready, all->ready != NULL);
    pthread_mutex_unlock(&all->lock);
    return w;
}

unsigned waiters_count(struct connections *set)
{
    pthread_mutex_lock(&set->waiters->lock);
    unsigned count = set->waiters->count;
    pthread_mutex_unlock(&set->waiters->lock);
    return count;
}

unsigned waiters_mark(struct connections *set)
{
    pthread_mutex_lock(&set->waiters->lock);
    unsigned mark = set->waiters->enqueued;
    pthread_mutex_unlock(&set->waiters->lock);
    return mark;
}

bool waiters_are_passed(struct connections *set, unsigned mark)
{
    pthread_mutex_lock(&set->waiters->lock);
    bool passed = (int)(set->waiters->dequeued - mark) >= 0;
    pthread_mutex_unlock(&set->waiters->lock);
    return passed;
}

/* -- The set -- */

bool waiters_create(struct connections *set)
{
    struct waiters *all = calloc(1, sizeof *all);
    set->waiters = all;
    if (all == NULL)
        return false;
    pthread_mutex_init(&all->lock, NULL);
    all->ready_end = &all->ready;
    all->armed = INT64_MAX;
    return true;
}

void waiters_destroy(struct connections *set)
{
    struct waiters *all = set->waiters;
    if (all == NULL)
        return;
    pthread_mutex_destroy(&all->lock);
    free(all->table);
    free(all->heap);
    free(all);
    set->waiters = NULL;
}

void waiters_stop(struct connections *set)
{
    struct waiters *all = set->waiters;
    pthread_mutex_lock(&all->lock);
    for (size_t i = 0; i < all->used; i++) {
        struct waiter *w = all->table[i].waiter;
        if (w != NULL && w->state == WAITING && ends_by_stop(w))
            make_ready_locked(set, w, AWAITED_END);
    }
    unlock_and_kick(set, all->ready != NULL);
}
