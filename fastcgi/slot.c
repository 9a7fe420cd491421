/* The table of connections, and who owns which.
 *
 * Runs in every thread that touches a connection. Owns the slots, made at the start, the
 * descriptor in each, and two lists of slots: the free ones, and the connections deferred
 * to any worker.
 *
 * One atomic word says who may touch a connection, generation << 3 | state:
 *
 *     FREE        in the free list
 *     PARKED      in the poller, without an owner: who moves it to BUSY owns it
 *     ADDING      as PARKED, but only a worker with an event of it may take it. The sweep
 *                 and the eviction may not: they could close the descriptor while
 *                 epoll_ctl(2) adds it, and its number could be used again
 *     BUSY        owned
 *     BUSY_AGAIN  owned, and an event came: the owner looks again before it parks
 *     BUSY_HUNG   the same, and the peer has closed its end
 *
 * So no event is lost, none starts two workers, and a connection never needs a system
 * call to be parked or taken. The generation counts the uses of a slot: the event of a
 * closed connection that comes late meets another generation and is dropped.
 *
 * `set->lock`, a leaf, guards the two lists. Taking and parking a connection that the
 * poller has takes no lock. */
#include "fastcgi/slot.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "fastcgi/poller.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { FREE, PARKED, ADDING, BUSY, BUSY_AGAIN, BUSY_HUNG };

enum {
    STATE_BITS = 3,
    STATE_MASK = (1 << STATE_BITS) - 1,
    INDEX_BITS = 20, /* of a cookie; the rest is the low bits of the generation */
    INDEX_MASK = (1 << INDEX_BITS) - 1,
    MAX_STREAK = 16,          /* requests of one connection in a row */
    LAST_IDLE_TIME = 100,     /* ms after a stop that kept connections are still served */
    LAST_CLOSING_TIME = 1000, /* ms that a peer then has to read our last bytes */
    FAULTS_PER_SECOND = 5,
};

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "the state word must be lock-free");

bool slots_may_log_fault(struct connections *set)
{
    unsigned second = clock_ticks() / 1000;
    if (atomic_exchange(&set->second, second) != second)
        atomic_store(&set->faults, 0);
    return atomic_fetch_add(&set->faults, 1) < FAULTS_PER_SECOND;
}

/* -- The state word -- */

static unsigned state_of(unsigned word)
{
    return word & STATE_MASK;
}

static unsigned with_state(unsigned word, unsigned state)
{
    return (word & ~(unsigned)STATE_MASK) | state;
}

/* Moves from one state to another. false: another thread moved it before. */
static bool change(struct connection *c, unsigned from, unsigned to)
{
    unsigned word = atomic_load(&c->word);
    return state_of(word) == from &&
           atomic_compare_exchange_strong(&c->word, &word, with_state(word, to));
}

bool slot_is_parked(struct connection *c)
{
    return state_of(atomic_load(&c->word)) == PARKED;
}

bool slot_take_parked(struct connection *c)
{
    return change(c, PARKED, BUSY);
}

bool slot_take_news(struct connection *c)
{
    bool hung = change(c, BUSY_HUNG, BUSY);
    c->hung = c->hung || hung;
    return hung || change(c, BUSY_AGAIN, BUSY);
}

bool slot_has_news(struct connection *c)
{
    unsigned state = state_of(atomic_load(&c->word));
    return state == BUSY_AGAIN || state == BUSY_HUNG;
}

bool slot_is_hung(struct connection *c)
{
    return c->hung || state_of(atomic_load(&c->word)) == BUSY_HUNG;
}

/* What an event makes of a connection in that state. */
static unsigned after_event(unsigned state, bool hangup)
{
    if (state == PARKED || state == ADDING)
        return BUSY;
    return hangup ? BUSY_HUNG : state == BUSY ? BUSY_AGAIN : state;
}

struct connection *slot_claim(struct connections *set, const struct poller_event *event,
                              struct connection **owned)
{
    struct connection *c = &set->table[event->cookie & INDEX_MASK];
    unsigned word = atomic_load(&c->word), state;
    *owned = NULL;
    do {
        unsigned generation = word >> STATE_BITS;
        if ((uint32_t)generation << INDEX_BITS != (event->cookie & ~(uint32_t)INDEX_MASK))
            return NULL;
        state = state_of(word);
        if (state == FREE)
            return NULL;
    } while (!atomic_compare_exchange_weak(
        &c->word, &word, with_state(word, after_event(state, event->hangup))));
    if (state != PARKED && state != ADDING) {
        *owned = c;
        return NULL;
    }
    c->again = c->again || event->hangup;
    c->hung = c->hung || event->hangup;
    return c;
}

/* -- Slots -- */

struct connection *slot_take(struct connections *set)
{
    pthread_mutex_lock(&set->lock);
    struct connection *c = set->free;
    size_t used = atomic_load(&set->used);
    if (c != NULL) {
        set->free = c->next;
    } else if (used < set->size) {
        c = &set->table[used];
        c->fd = -1;
        atomic_store(&set->used, used + 1);
    }
    pthread_mutex_unlock(&set->lock);
    return c;
}

void slot_return(struct connections *set, struct connection *c)
{
    pthread_mutex_lock(&set->lock);
    c->next = set->free;
    set->free = c;
    pthread_mutex_unlock(&set->lock);
}

void slot_forget_pending(struct connection *c)
{
    free(c->pending);
    c->pending = NULL;
    c->pending_len = c->pending_cap = 0;
}

void slot_reset(struct connection *c)
{
    struct linger at_once = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

void slot_forget_rest(struct connections *set, struct connection *c)
{
    struct rest *rest = c->rest;
    if (rest == NULL)
        return;
    c->rest = NULL;
    atomic_fetch_sub(&set->pending_output, rest->counted);
    free(rest->block);
    free(rest);
    memory_note_freed();
}

/* The generation moves on: a late event finds nothing. */
void slot_close(struct connections *set, struct connection *c)
{
    if (c->rest != NULL || (slot_kind_of(c) == KIND_CUT && c->pending != NULL))
        slot_reset(c);
    slot_forget_rest(set, c);
    slot_forget_pending(c);
    close(c->fd);
    c->fd = -1;
    unsigned word = atomic_load(&c->word);
    word += 1u << STATE_BITS;
    atomic_store(&c->word, with_state(word, FREE));
    atomic_fetch_sub(&set->count, 1);
    slot_return(set, c);
    if (atomic_load(&set->paused))
        atomic_store(&set->accept_again, true);
}

void slot_open(struct connections *set, struct connection *c, int fd)
{
    c->fd = fd;
    c->added = c->watches_room = c->again = c->keep = c->ended = c->hung = false;
    atomic_store_explicit(&c->stage, STAGE_NONE, memory_order_relaxed);
    c->output = IO_OK;
    c->reader = NULL;
    c->head = (struct record_head){0};
    atomic_store_explicit(&c->since, clock_ticks(), memory_order_relaxed);
    atomic_store_explicit(&c->kind, KIND_HEAD, memory_order_relaxed);
    atomic_store(&c->word, with_state(atomic_load(&c->word), BUSY));
    atomic_fetch_add(&set->count, 1);
}

void slot_set_kind(struct connection *c, enum slot_kind kind)
{
    atomic_store_explicit(&c->kind, (unsigned char)kind, memory_order_relaxed);
    atomic_store_explicit(&c->since, clock_ticks(), memory_order_relaxed);
}

enum slot_kind slot_kind_of(struct connection *c)
{
    return (enum slot_kind)atomic_load_explicit(&c->kind, memory_order_relaxed);
}

/* -- Parking -- */

struct connection *slot_take_deferred(struct connections *set, bool *more)
{
    pthread_mutex_lock(&set->lock);
    struct connection *c = set->deferred;
    if (c != NULL) {
        set->deferred = c->next;
        if (c->next == NULL)
            set->deferred_end = &set->deferred;
        set->dequeued++;
    }
    *more = set->deferred != NULL;
    atomic_store(&set->any_deferred, *more);
    pthread_mutex_unlock(&set->lock);
    return c;
}

void slot_enqueue(struct connections *set, struct connection *c)
{
    c->next = NULL;
    c->enqueued = clock_nanoseconds();
    pthread_mutex_lock(&set->lock);
    *set->deferred_end = c;
    set->deferred_end = &c->next;
    set->enqueued++;
    atomic_store(&set->any_deferred, true);
    pthread_mutex_unlock(&set->lock);
}

void slot_defer(struct connections *set, struct connection *c)
{
    slot_enqueue(set, c);
    poller_kick(set->poller);
}

/* A peer that still sends may lose what it has not read by a close. */
static bool may_be_reading(struct connection *c, enum slot_kind kind)
{
    unsigned since = atomic_load_explicit(&c->since, memory_order_relaxed);
    return (kind == KIND_DRAIN || kind == KIND_LINGER) &&
           slot_elapsed(clock_ticks(), since) < LAST_CLOSING_TIME;
}

/* Whether a stop waits for `c`: a request may be on its way, or has come in part, or the
 * peer must still be told that a response is not whole, or read our last bytes. */
static bool is_awaited(struct connections *set, struct connection *c)
{
    enum slot_kind kind = slot_kind_of(c);
    return may_be_reading(c, kind) || kind == KIND_HEAD || kind == KIND_OUT ||
           kind == KIND_CUT || (kind == KIND_IDLE && !slots_are_ending(set));
}

bool slots_are_ending(struct connections *set)
{
    return atomic_load(&set->stopping) &&
           slot_elapsed(clock_ticks(), atomic_load(&set->stopped_at)) >= LAST_IDLE_TIME;
}

bool slot_has_request(struct connection *c)
{
    char byte;
    enum slot_kind kind = slot_kind_of(c);
    bool found = (kind == KIND_IDLE || kind == KIND_HEAD) &&
                 recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
    c->again = c->again || found;
    return found;
}

/* A stop looks once at what is parked. Whoever parks a connection later calls this, too:
 * either the stop has seen it PARKED, or this sees the stop (both are sequentially
 * consistent). */
void slot_close_if_stopping(struct connections *set, struct connection *c)
{
    if (!atomic_load(&set->stopping) || is_awaited(set, c) || !slot_take_parked(c))
        return;
    if (slot_has_request(c))
        slot_defer(set, c);
    else
        slot_close(set, c);
}

static uint32_t cookie_of(const struct connections *set, struct connection *c)
{
    unsigned generation = atomic_load(&c->word) >> STATE_BITS;
    return (uint32_t)(c - set->table) | (uint32_t)generation << INDEX_BITS;
}

static bool needs_room(struct connection *c)
{
    enum slot_kind kind = slot_kind_of(c);
    return kind == KIND_OUT || kind == KIND_CUT;
}

/* A connection that is kept is not told of room all its life: that would be an event for
 * each response. */
static void watch_room_as_needed(struct connections *set, struct connection *c)
{
    bool needed = needs_room(c);
    if (c->watches_room != needed)
        poller_watch_output(set->poller, c->fd, cookie_of(set, c), needed);
    c->watches_room = needed;
}

/* The poller does not have `c` yet. An event of it may come before epoll_ctl has
 * returned. Then the last change fails, because another worker owns `c` already. */
static void park_first(struct connections *set, struct connection *c)
{
    int fd = c->fd;
    uint32_t cookie = cookie_of(set, c);
    c->added = true;
    c->again = false; /* adding announces whatever is there */
    unsigned word = with_state(atomic_load(&c->word), ADDING);
    atomic_store(&c->word, word);
    c->watches_room = needs_room(c);
    bool added = poller_add(set->poller, fd, cookie, c->watches_room);
    int error = errno;
    if (!atomic_compare_exchange_strong(&c->word, &word,
                                        with_state(word, added ? PARKED : BUSY)))
        return;
    if (added) {
        slot_close_if_stopping(set, c);
        return;
    }
    if (slots_may_log_fault(set))
        log_warning("cannot watch a connection: %s", strerror(error));
    slot_close(set, c);
}

bool slot_park(struct connections *set, struct connection *c)
{
    if (!c->added) {
        park_first(set, c);
        return true;
    }
    watch_room_as_needed(set, c);
    if (change(c, BUSY, PARKED)) {
        slot_close_if_stopping(set, c);
        return true;
    }
    slot_take_news(c);
    c->again = true;
    return false;
}

/* Until it is parked, events only change the state word. */
bool slot_watch(struct connections *set, struct connection *c, bool output)
{
    uint32_t cookie = cookie_of(set, c);
    bool add = !c->added, room = c->watches_room || output;
    if (!add && room == c->watches_room)
        return true;
    c->watches_room = room;
    if (!add)
        return poller_watch_output(set->poller, c->fd, cookie, room);
    return c->added = poller_add(set->poller, c->fd, cookie, room);
}

void slot_park_or_again(struct connections *set, struct connection_reader *r,
                        struct connection *c)
{
    if (!c->again && c->pending == NULL && slot_park(set, c))
        return;
    if (r != NULL && r->next == NULL && r->streak < MAX_STREAK) {
        r->streak++;
        r->next = c;
    } else {
        slot_defer(set, c);
    }
}

void slot_sort_out(struct connections *set, struct connection *c)
{
    char byte;
    enum slot_kind kind = slot_kind_of(c);
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    bool waits = n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
    if (n > 0 || kind == KIND_DRAIN || needs_room(c)) {
        slot_enqueue(set, c);
    } else if (waits) {
        c->again = false;
        if (!slot_park(set, c))
            slot_enqueue(set, c);
    } else {
        slot_close(set, c);
    }
}

void slots_borrow(struct connections *set)
{
    atomic_fetch_add(&set->borrowings, 1);
}

void slots_return(struct connections *set)
{
    atomic_fetch_add(&set->returns, 1);
}

/* If all borrowings until the end had ended before the beginning, nothing was borrowed
 * while this looked, and so nothing was missed. */
bool slots_anyone_left(struct connections *set)
{
    unsigned returns = atomic_load(&set->returns);
    bool awaited = false; /* the others are closed, wherever in the table they are */
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        struct connection *c = &set->table[i];
        unsigned state = state_of(atomic_load(&c->word));
        if ((state == PARKED || state == ADDING) && is_awaited(set, c))
            awaited = true;
        else
            slot_close_if_stopping(set, c);
    }
    return awaited || atomic_load(&set->any_deferred) ||
           atomic_load(&set->borrowings) != returns;
}
