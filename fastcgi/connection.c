/* The set of connections: how it is made and ended, how a worker waits for a request, and
 * how the worker gives the connection back.
 *
 * connection_wait and connection_release run in every worker, connections_tick in the
 * heartbeat, connections_stop and connections_cut_all in the thread that stops the
 * daemon. Owns the set: its table, the poller and the listening socket. The request path
 * takes no lock. */
#include "fastcgi/connection.h"

#include "base/clock.h"
#include "base/log.h"
#include "fastcgi/abort.h"
#include "fastcgi/accept.h"
#include "fastcgi/cut.h"
#include "fastcgi/fcgi.h"
#include "fastcgi/jam.h"
#include "fastcgi/listener.h"
#include "fastcgi/look.h"
#include "fastcgi/poller.h"
#include "fastcgi/queue.h"
#include "fastcgi/rest.h"
#include "fastcgi/slot.h"
#include "fastcgi/stream.h"
#include "fastcgi/sweep.h"
#include "fastcgi/waiter.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    STOP_NAP = 5, /* ms between looks once the daemon stops */
};

size_t connections_count(const struct connections *set)
{
    return atomic_load(&((struct connections *)set)->count);
}

bool connections_are_stopping(const struct connections *set)
{
    return atomic_load(&((struct connections *)set)->stopping);
}

static void add_figures(struct connections_figures *f, struct connection *c)
{
    if (!slot_is_parked(c))
        return;
    switch (slot_kind_of(c)) {
    case KIND_IDLE:
        f->parked++;
        break;
    case KIND_HEAD:
        f->incomplete++;
        break;
    default:
        f->leaving++;
        break;
    }
}

int connections_waiting(struct connections *set)
{
    pthread_mutex_lock(&set->lock);
    unsigned waiting = set->enqueued - set->dequeued;
    pthread_mutex_unlock(&set->lock);
    return (int)waiting;
}

struct connections_figures connections_read(struct connections *set)
{
    struct connections_figures f = {.open = (int)connections_count(set),
                                    .resting = (int)waiters_count(set),
                                    .waiting = connections_waiting(set),
                                    .evictions = atomic_load(&set->evictions)};
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++)
        add_figures(&f, &set->table[i]);
    return f;
}

struct connections_shortage connections_read_shortage(struct connections *set)
{
    return (struct connections_shortage){.failures = atomic_load(&set->failures),
                                         .error = atomic_load(&set->failure),
                                         .lasts = atomic_load(&set->paused)};
}

bool connections_read_queue(const struct connections *set, int *waiting, int *most)
{
    *waiting = *most = 0;
    return queue_read(set->listener, waiting, most);
}

/* -- Waiting -- */

/* While accepting is paused, one worker must wait with a time limit; the others may wait
 * without one. This worker may be the one, so the kick puts another in its place. */
static struct connection *leave_wait(struct connections *set, struct connection *c)
{
    if (atomic_load(&set->paused))
        poller_kick(set->poller);
    return c;
}

static bool anything_is_left(struct connections *set)
{
    return atomic_load(&set->any_deferred) || waiters_are_ready(set);
}

/* The next of those that need no event: a deferred connection, or a request that has
 * waited, by turns. NULL: it is r->ready, or there is no request. */
static struct connection *take_left(struct connections *set, struct connection_reader *r)
{
    struct connection *c = NULL;
    bool more;
    r->ready_first = !r->ready_first;
    if (r->ready_first || !atomic_load(&set->any_deferred))
        r->ready = waiters_take(set);
    if (r->ready == NULL)
        c = slot_take_deferred(set, &more);
    return c != NULL && look_at(set, r, c) ? c : NULL;
}

/* The same after a kick, or an event that may have made some ready: wakes the next. */
static struct connection *take_and_kick(struct connections *set,
                                        struct connection_reader *r)
{
    struct connection *c = take_left(set, r);
    if (anything_is_left(set))
        poller_kick(set->poller);
    return c;
}

/* NULL: the event brought no request, or r->ready. */
static struct connection *on_event(struct connections *set, struct connection_reader *r,
                                   const struct poller_event *event)
{
    struct connection *c, *owned;
    if (event->cookie == LISTENER_COOKIE)
        return accept_waiting(set, r);
    if (event->cookie == POLLER_WOKEN)
        return NULL;
    if (event->cookie == POLLER_KICKED || waiters_on_event(set, event))
        return take_and_kick(set, r);
    c = slot_claim(set, event, &owned);
    if (owned != NULL && waiters_on_peer(set, owned, event->hangup))
        return take_and_kick(set, r);
    return c != NULL && look_at(set, r, c) ? c : NULL;
}

/* One worker is too many, and this one is free. Others may have to leave, too. */
static bool is_dismissed(struct connections *set)
{
    if (atomic_load(&set->stopping) || anything_is_left(set) || !jam_take_dismissal(set))
        return false;
    leave_wait(set, NULL);
    return true;
}

static struct connection *take_next(struct connections *set, struct connection_reader *r)
{
    struct connection *c = r->next;
    r->next = NULL;
    return look_at(set, r, c) ? c : NULL;
}

/* After a stop poller_wait returns at once, so the workers must pause by themselves. */
static void nap(void)
{
    nanosleep(&(struct timespec){0, STOP_NAP * 1000000}, NULL);
}

/* Whether to take one that needs no event, rather than to look for events. A stop, after
 * which there is a pause after each look, has to end all waits. */
static bool is_turn_of_left(struct connections *set, const struct connection_reader *r)
{
    return (r->polled && anything_is_left(set)) ||
           (atomic_load(&set->stopping) && waiters_are_ready(set));
}

/* Who waits when the daemon stops needs a worker once more. */
static bool goes_on(struct connections *set)
{
    return !atomic_load(&set->stopping) || waiters_count(set) > 0 ||
           slots_anyone_left(set);
}

struct connection *connection_wait(struct connections *set, struct connection_reader *r)
{
    struct connection *c = NULL;
    while (c == NULL && r->ready == NULL && goes_on(set)) {
        if (r->next != NULL) {
            c = take_next(set, r);
            continue;
        }
        if (is_turn_of_left(set, r)) {
            r->polled = false;
            c = take_left(set, r);
            continue;
        }
        r->streak = 0;
        bool paused = atomic_load(&set->paused);
        if ((paused || atomic_load(&set->accept_again)) &&
            (c = accept_retry(set, r)) != NULL)
            break;
        if (is_dismissed(set))
            return NULL;
        struct poller_event event;
        jam_enter(set);
        int events = poller_wait(set->poller, paused ? RETRY_TIME : -1, &event);
        jam_leave(set);
        if (events > 0) {
            c = on_event(set, r, &event);
            if (event.cookie == POLLER_WOKEN)
                nap();
        }
        r->polled = true;
    }
    if (c == NULL && r->ready == NULL && r->next != NULL) {
        slot_close(set, r->next);
        r->next = NULL;
    }
    return c != NULL || r->ready != NULL ? leave_wait(set, c) : NULL;
}

struct waiter *connection_take_ready(struct connection_reader *r)
{
    struct waiter *w = r->ready;
    r->ready = NULL;
    return w;
}

int64_t connection_take_enqueued(struct connection *c)
{
    int64_t moment = c->enqueued;
    c->enqueued = 0;
    return moment;
}

/* -- Changing hands -- */

void connection_lay_down(struct connection *c)
{
    look_lay_down(c);
}

void connection_take_up(struct connection *c, struct connection_reader *r)
{
    if (c->reader == NULL)
        look_take_up(c, r);
}

#ifndef POLLRDHUP
#define POLLRDHUP POLLHUP
#endif

bool connection_is_gone(const struct connection *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP | POLLIN};
    char byte;
    if (c->output != IO_OK || (poll(&p, 1, 0) > 0 && (p.revents & ~POLLIN) != 0))
        return true;
    return abort_has_come(c, p.revents != 0) ||
           (POLLRDHUP == POLLHUP && recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0);
}

/* -- Giving a connection back -- */

/* The response is not whole. true: the peer knows, and `c` still is the caller's. */
static bool cut_off(struct connections *set, struct connection_reader *r,
                    struct connection *c)
{
    enum cut_result result = cut_tell(c);
    if (result == CUT_WAITS)
        look_at(set, r, c);
    else if (result == CUT_DROPPED)
        slot_close(set, c);
    return result == CUT_TOLD;
}

/* The peer has not taken the whole response yet: look_at goes on when it does. */
static void leave_rest(struct connections *set, struct connection *c)
{
    look_lay_down(c);
    slot_set_kind(c, KIND_OUT);
    if (!slot_park(set, c))
        slot_defer(set, c);
}

void connection_release(struct connections *set, struct connection *c, bool keep)
{
    struct connection_reader *r = c->reader;
    c->stays = keep;
    if (c->rest != NULL && c->ended) {
        leave_rest(set, c);
        return;
    }
    if (c->rest != NULL)
        rest_give_up(set, c);
    keep = abort_answer(c) || keep;
    if (c->output == IO_OK)
        stream_drain(c);
    keep = keep && c->keep && c->ended && c->output == IO_OK && !slots_are_ending(set);
    if (cut_is_due(c) && !cut_off(set, r, c))
        return;
    if (!keep || c->body == IO_ABORTED)
        look_let_go(set, r, c);
    else if (look_await_next(c))
        slot_park_or_again(set, r, c);
    else
        slot_close(set, c);
}

void connection_pass_on(struct connection_reader *r)
{
    if (r->next != NULL)
        slot_defer(r->set, r->next);
    r->next = NULL;
}

/* -- Making and ending the set -- */

struct connections *connections_create(int listener, const struct config *config)
{
    int limit = config->max_connections;
    if (limit < 1 || limit > MAX_SLOTS || config->max_head_size < 1) {
        errno = EINVAL;
        return NULL;
    }
    struct connections *set = calloc(1, sizeof *set);
    if (set == NULL)
        return NULL;
    set->size = (size_t)limit;
    set->max_head = (size_t)config->max_head_size;
    set->workers = (unsigned)config->worker_threads;
    sweep_set_limits(set, config);
    set->listener = listener;
    set->tcp = listener >= 0 && listener_is_tcp(listener);
    pthread_mutex_init(&set->lock, NULL);
    jam_init(set);
    set->table = calloc(set->size, sizeof *set->table);
    set->poller = poller_create();
    int error = errno;
    if (set->table != NULL && set->poller != NULL && waiters_create(set) &&
        listener_peers_create(&set->peers) && fcgi_start()) {
        set->deferred_end = &set->deferred;
        if (listener < 0 || poller_add(set->poller, listener, LISTENER_COOKIE, false))
            return set;
        error = errno;
    }
    set->listener = -1; /* it stays the caller's, so it must not be closed here */
    connections_destroy(set);
    errno = error;
    return NULL;
}

void connections_destroy(struct connections *set)
{
    if (set == NULL)
        return;
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        if (set->table[i].fd >= 0)
            close(set->table[i].fd);
        slot_forget_pending(&set->table[i]);
        slot_forget_rest(set, &set->table[i]);
    }
    if (set->listener >= 0)
        close(set->listener);
    free(set->table);
    waiters_destroy(set);
    listener_peers_destroy(set->peers);
    poller_destroy(set->poller);
    pthread_mutex_destroy(&set->lock);
    jam_destroy(set);
    free(set);
}

void connections_stop(struct connections *set)
{
    atomic_store(&set->stopped_at, clock_ticks());
    accept_last(set);
    atomic_store(&set->stopping, true); /* a worker that sees it finds all that is left */
    waiters_stop(set);
    poller_wake_all(set->poller);
    jam_stop(set);
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++)
        slot_close_if_stopping(set, &set->table[i]);
}

bool connections_adopt(struct connections *set, int fd)
{
    struct connection *c = slot_take(set);
    if (c == NULL)
        return false;
    slot_open(set, c, fd);
    slot_park(set, c);
    return true;
}

void connections_tick(struct connections *set, const struct config *config)
{
    unsigned now = clock_ticks();
    sweep_set_limits(set, config);
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++)
        sweep_one(set, &set->table[i], now);
}

/* What is left of a response is with nobody who could be told to stop. It stays owned, so
 * that no worker goes on with it. */
static bool cut_rest(struct connection *c)
{
    if (slot_kind_of(c) != KIND_OUT || !slot_take_parked(c))
        return false;
    if (c->rest != NULL)
        slot_reset(c);
    return true;
}

void connections_cut_all(struct connections *set)
{
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++)
        if (!cut_rest(&set->table[i]))
            cut_at_exit(&set->table[i]);
}

/* -- The reader -- */

struct connection_reader *connection_reader_create(const struct connections *set)
{
    struct connection_reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->set = (struct connections *)set;
    size_t size = set->max_head + RECORD_MAX_SIZE + FEED_PAGE;
    if (!feed_open(&r->feed, size - size % FEED_PAGE + FEED_PAGE, set->max_head)) {
        int error = errno;
        if (error == EMSGSIZE)
            log_error("MaxHeadSize is more than a socket pair takes on this system");
        free(r);
        errno = error;
        return NULL;
    }
    return r;
}

void connection_reader_destroy(struct connection_reader *r)
{
    if (r == NULL)
        return;
    connection_pass_on(r);
    feed_close(&r->feed);
    free(r);
}
