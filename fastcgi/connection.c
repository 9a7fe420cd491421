/* The set of connections: its making and its end, how a worker waits for a request, and
 * how it lets one go.
 *
 * connection_wait and connection_release run in every worker, connections_stop wherever
 * the stop comes from. Owns the set: its table, the poller and the listening socket. The
 * request path takes no lock.
 *
 * fastcgi/private.h says what the other files of the room are for. */
#include "fastcgi/private.h"

#include "base/clock.h"
#include "fastcgi/listener.h"
#include "fastcgi/poller.h"
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    STOP_NAP = 5, /* ms between looks once the daemon stops */
    FAULTS_PER_SECOND = 5,
};

#define LISTENER_COOKIE (UINT32_MAX - 2)

size_t connections_count(const struct connections *set)
{
    return atomic_load(&((struct connections *)set)->count);
}

bool connections_may_log_fault(struct connections *set)
{
    unsigned second = clock_ticks() / 1000;
    if (atomic_exchange(&set->second, second) != second)
        atomic_store(&set->faults, 0);
    return atomic_fetch_add(&set->faults, 1) < FAULTS_PER_SECOND;
}

/* -- Waiting -- */

/* Another worker waits for ever, or will: if accepting is paused one must not. */
static struct connection *leave_wait(struct connections *set, struct connection *c)
{
    if (atomic_load(&set->paused))
        poller_kick(set->poller);
    return c;
}

/* NULL: nothing to serve came of it. */
static struct connection *on_event(struct connections *set, struct connection_reader *r,
                                   const struct poller_event *event)
{
    struct connection *c = NULL;
    if (event->cookie == LISTENER_COOKIE)
        return connections_accept(set, r);
    if (event->cookie == POLLER_KICKED) {
        bool more;
        c = connections_take_deferred(set, &more);
        if (more)
            poller_kick(set->poller);
    } else if (event->cookie != POLLER_WOKEN) {
        c = connections_claim(set, event);
    }
    return c && connection_look(set, r, c) ? c : NULL;
}

static struct connection *take_next(struct connections *set, struct connection_reader *r)
{
    struct connection *c = r->next;
    r->next = NULL;
    return connection_look(set, r, c) ? c : NULL;
}

/* The poller wakes everybody all the time after a stop. */
static void nap(void)
{
    nanosleep(&(struct timespec){0, STOP_NAP * 1000000}, NULL);
}

struct connection *connection_wait(struct connections *set, struct connection_reader *r)
{
    struct connection *c = NULL;
    while (!c && (!atomic_load(&set->stopping) || connections_anyone_left(set))) {
        if (r->next) {
            c = take_next(set, r);
            continue;
        }
        if (r->polled && atomic_load(&set->any_deferred)) {
            bool more;
            r->polled = false;
            c = connections_take_deferred(set, &more);
            c = c && connection_look(set, r, c) ? c : NULL;
            continue;
        }
        r->streak = 0;
        bool paused = atomic_load(&set->paused);
        if ((paused || atomic_load(&set->accept_again)) &&
            (c = connections_retry_accept(set, r)) != NULL)
            break;
        struct poller_event event;
        if (poller_wait(set->poller, paused ? RETRY_TIME : -1, &event) > 0) {
            c = on_event(set, r, &event);
            if (event.cookie == POLLER_WOKEN)
                nap();
        }
        r->polled = true;
    }
    if (!c && r->next) {
        connection_close(set, r->next);
        r->next = NULL;
    }
    return c ? leave_wait(set, c) : NULL;
}

/* -- Letting go -- */

/* Closes at once when that can cut nothing off: the peer has sent all it will send. */
static void let_go(struct connections *set, struct connection_reader *r,
                   struct connection *c)
{
    bool silent = c->body == CONNECTION_END && !(c->keep && set->tcp);
    bool stopping = atomic_load(&set->stopping);
    if (silent || c->output != CONNECTION_OK || stopping) {
        if (!silent && c->output == CONNECTION_OK)
            connection_linger_now(c);
        connection_close(set, c);
        return;
    }
    connection_linger(set, r, c);
}

void connection_release(struct connections *set, struct connection *c, FCGX_Request *fcgi,
                        bool keep)
{
    struct connection_reader *r = c->reader;
    FCGX_Free(fcgi, 0);
    fcgi->ipcFd = -1;
    if (c->output == CONNECTION_OK)
        connection_drain(c);
    keep = keep && c->keep && c->ended && c->output == CONNECTION_OK &&
           !connections_are_ending(set);
    if (connection_is_cut_short(c) && !connection_cut(set, r, c))
        return;
    if (!keep || c->body == CONNECTION_ABORTED)
        let_go(set, r, c);
    else if (connection_await_next(c))
        connection_park_or_again(set, r, c);
    else
        connection_close(set, c);
}

/* -- Life and death of the set -- */

struct connections *connections_create(int listener, const struct config *config)
{
    int limit = config->max_connections;
    if (limit < 1 || limit > MAX_SLOTS || config->max_head_size < 1) {
        errno = EINVAL;
        return NULL;
    }
    struct connections *set = calloc(1, sizeof *set);
    if (!set)
        return NULL;
    set->size = (size_t)limit;
    set->max_head = (size_t)config->max_head_size;
    set->workers = (unsigned)config->worker_threads;
    connections_set_limits(set, config);
    set->listener = listener;
    set->tcp = listener >= 0 && listener_is_tcp(listener);
    pthread_mutex_init(&set->lock, NULL);
    set->table = calloc(set->size, sizeof *set->table);
    set->poller = poller_create();
    int error = errno;
    if (set->table && set->poller && listener_peers_create(&set->peers) &&
        FCGX_Init() == 0) {
        set->deferred_end = &set->deferred;
        if (listener < 0 || poller_add(set->poller, listener, LISTENER_COOKIE, false))
            return set;
        error = errno;
    }
    set->listener = -1; /* the caller's, as nothing came of it */
    connections_destroy(set);
    errno = error;
    return NULL;
}

void connections_destroy(struct connections *set)
{
    if (!set)
        return;
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        if (set->table[i].fd >= 0)
            close(set->table[i].fd);
        free(set->table[i].pending);
    }
    if (set->listener >= 0)
        close(set->listener);
    free(set->table);
    listener_peers_destroy(set->peers);
    poller_destroy(set->poller);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

void connections_stop(struct connections *set)
{
    atomic_store(&set->stopped_at, clock_ticks());
    atomic_store(&set->stopping, true);
    connections_accept_last(set);
    poller_wake_all(set->poller);
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++)
        connection_close_if_stopping(set, &set->table[i]);
}
