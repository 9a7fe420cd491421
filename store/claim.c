/* Claims on names. Called by workers. One lock guards all: the table of names, who holds
 * each, and the queues.
 *
 * A name is there while somebody holds it. When its holder is late, the first in the
 * queue finds out: it alone asks again when the holder's time is over, and it is woken
 * when that time becomes another one. */
#include "store/claim.h"

#include "base/clock.h"
#include "base/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct claim_name {
    struct hash_link by_name;
    struct claim *holder;
    int64_t over; /* ns of base/clock.h; AWAITED_FOREVER */
    struct link queue;
    size_t len;
    char name[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct hash names; /* lock */

/* Wakers that are to be woken when the lock is released: the new holder's, and that of
 * the first in the queue. */
struct wakes {
    struct waker *wakers[2];
    int count;
};

static void note_locked(struct wakes *w, const struct claim *c)
{
    w->wakers[w->count++] = waker_ref(c->waker);
}

static void wake(const struct wakes *w)
{
    for (int i = 0; i < w->count; i++) {
        waker_wake(w->wakers[i]);
        waker_unref(w->wakers[i]);
    }
}

static struct claim_name *find_locked(struct bytes name, uint32_t hash)
{
    for (struct hash_link *l = hash_find(&names, hash); l != NULL; l = hash_next(l)) {
        struct claim_name *n = CONTAINER(struct claim_name, by_name, l);
        if (n->len == name.len && memcmp(n->name, name.data, name.len) == 0)
            return n;
    }
    return NULL;
}

static struct claim_name *create_locked(struct bytes name, uint32_t hash)
{
    struct claim_name *n = calloc(1, sizeof *n + name.len);
    if (n == NULL)
        return NULL;
    list_init(&n->queue);
    n->len = name.len;
    memcpy(n->name, name.data, name.len);
    hash_insert(&names, &n->by_name, hash);
    return n;
}

static void destroy_locked(struct claim_name *n)
{
    hash_remove(&names, &n->by_name);
    free(n);
    if (names.count == 0)
        hash_free(&names);
}

static struct claim *first_locked(const struct claim_name *n)
{
    return list_is_empty(&n->queue) ? NULL : CONTAINER(struct claim, link, n->queue.next);
}

static void hold_locked(struct claim_name *n, struct claim *c)
{
    n->holder = c;
    n->over = c->life == 0 ? AWAITED_FOREVER : clock_nanoseconds() + c->life;
    c->holds = true;
}

/* The holder has no part in it any more: the first in the queue holds it, or nobody. */
static void pass_on_locked(struct claim_name *n, struct wakes *w)
{
    struct claim *next = first_locked(n);
    n->holder->holds = false;
    n->holder->name = NULL;
    if (next == NULL) {
        destroy_locked(n);
        return;
    }
    list_remove(&next->link);
    hold_locked(n, next);
    note_locked(w, next);
    if (n->over != AWAITED_FOREVER && first_locked(n) != NULL)
        note_locked(w, first_locked(n));
}

static void end_late_locked(struct claim_name *n, struct wakes *w)
{
    if (n->over != AWAITED_FOREVER && clock_nanoseconds() >= n->over)
        pass_on_locked(n, w);
}

static enum claim_result begin_locked(struct claim *c, struct bytes name, struct wakes *w)
{
    uint32_t hash = hash_bytes(name.data, name.len);
    struct claim_name *n = find_locked(name, hash);
    if (n != NULL) {
        end_late_locked(n, w);
        n = find_locked(name, hash); /* it may have been destroyed */
    }
    if (n != NULL && n->holder->waker == c->waker)
        return CLAIM_IS_MINE;
    if (n == NULL) {
        n = create_locked(name, hash);
        if (n == NULL)
            return CLAIM_NO_MEMORY;
        hold_locked(n, c);
    } else {
        list_append(&n->queue, &c->link);
    }
    c->name = n;
    return CLAIM_DONE;
}

enum claim_result claim_begin(struct claim *c, struct bytes name, int64_t life,
                              struct waker *waker)
{
    struct wakes w = {.count = 0};
    *c = (struct claim){.life = life, .waker = waker_ref(waker)};
    list_init(&c->link);
    pthread_mutex_lock(&lock);
    enum claim_result result = begin_locked(c, name, &w);
    pthread_mutex_unlock(&lock);
    wake(&w);
    if (result != CLAIM_DONE)
        waker_unref(c->waker);
    return result;
}

bool claim_holds(struct claim *c, int64_t *again)
{
    struct wakes w = {.count = 0};
    *again = AWAITED_FOREVER;
    pthread_mutex_lock(&lock);
    if (c->name != NULL)
        end_late_locked(c->name, &w);
    if (c->name != NULL && !c->holds && first_locked(c->name) == c)
        *again = c->name->over;
    bool holds = c->holds;
    pthread_mutex_unlock(&lock);
    wake(&w);
    return holds;
}

static bool end_locked(struct claim *c, struct wakes *w)
{
    struct claim_name *n = c->name;
    bool held = c->holds;
    if (n == NULL)
        return false;
    if (held) {
        held = n->over == AWAITED_FOREVER || clock_nanoseconds() < n->over;
        pass_on_locked(n, w);
        return held;
    }
    bool was_first = first_locked(n) == c;
    list_remove(&c->link);
    if (was_first && n->over != AWAITED_FOREVER && first_locked(n) != NULL)
        note_locked(w, first_locked(n));
    return false;
}

bool claim_end(struct claim *c)
{
    struct wakes w = {.count = 0};
    pthread_mutex_lock(&lock);
    bool held = end_locked(c, &w);
    c->name = NULL;
    c->holds = false;
    pthread_mutex_unlock(&lock);
    wake(&w);
    waker_unref(c->waker);
    c->waker = NULL;
    return held;
}
