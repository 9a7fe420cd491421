/* The governor starts more workers while all workers wait, and dismisses those that have
 * nothing to do.
 *
 * It sleeps for as long as a worker is free and none is to be dismissed. No other thread
 * touches what it has. It takes no lock but for moments inside fastcgi/jam.c and
 * base/crew.c, and never waits for a worker. */
#include "daemon/governor.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "config.h"
#include "fastcgi/connection.h"
#include "fastcgi/jam.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

/* ms that workers have nothing to do before they leave; make hasty sets it. */
#ifndef SUPERFLUOUS_TIME
#define SUPERFLUOUS_TIME 10000
#endif

enum {
    SECOND = 1000,      /* ms */
    MANY_LOOKS = 10,    /* after workers were started, which may come to wait */
    LOOKS = 10,         /* at free workers, in SUPERFLUOUS_TIME */
    REFUSED_TIME = 100, /* ms until it is said that no more can be started */
    BUSY_TIME = 10,     /* ms that all are busy before that is worth a look */
    WAIT_TIME = 20,     /* ms that a request waits for a free worker */
    IDLE_LOOK = 20,     /* ms between two looks while no worker can be started */
#ifdef __linux__
    GROWTH_LOOK = 2, /* ms between two looks while workers are */
#else
    GROWTH_LOOK = 100, /* a thread that computes may have to wait so long for its turn */
#endif
};

static atomic_uint times_at_most; /* written by the thread, as are the next four */
static atomic_uint seconds_short;
static atomic_int why_short, most_short;
static atomic_bool is_short;          /* requests wait, and more workers would help */
static const struct service *service; /* immutable while the thread runs, and the next */
static int most_computing;
static pthread_t thread;

/* The thread's own. */
static bool ever_short;        /* the next is set */
static uint32_t second_due;    /* ms: no sooner is one more second counted */
static uint32_t refused_since; /* ms: since when no worker could be started */
static bool at_most;           /* in this jam there were as many as there may be */
static uint32_t free_since;    /* ms: since when workers had nothing to do, */
static int least_free;         /* at least so many more than one */

static void nap(int milliseconds)
{
    nanosleep(&(struct timespec){0, milliseconds * 1000000L}, NULL);
}

static bool is_stopping(void)
{
    return connections_are_stopping(service->connections);
}

/* -- What the heartbeat is told -- */

static void note_shortage(int error, int most)
{
    uint32_t now = clock_ticks();
    atomic_store(&why_short, error);
    atomic_store(&most_short, most);
    atomic_store(&is_short, true);
    if (ever_short && deadline_left(second_due, now) > 0)
        return;
    ever_short = true;
    second_due = deadline_after(now, SECOND);
    atomic_fetch_add(&seconds_short, 1);
}

static void note_plenty(void)
{
    atomic_store(&is_short, false);
}

/* -- More workers -- */

static int most_workers(void)
{
    struct config *config = config_current();
    int most = config->worker_threads_max;
    config_unref(config);
    return most > most_computing ? most : most_computing;
}

static void note_refusal(int error, int most)
{
    if (error == EALREADY && !at_most) {
        at_most = true;
        atomic_fetch_add_explicit(&times_at_most, 1, memory_order_relaxed);
    }
    if (error != 0 && clock_ticks() - refused_since >= REFUSED_TIME)
        note_shortage(error, most);
}

/* Perhaps not all of the new workers will wait, so no more are started than may compute.
 * false: none was started. */
static bool start_workers(void)
{
    int count = most_computing - workers_computing(), most = most_workers(), error = 0;
    int started = 0;
    while (started < count && (error = workers_add(most)) == 0)
        started++;
    if (started > 0 || count <= 0)
        refused_since = clock_ticks();
    else
        note_refusal(error, most);
    return started > 0;
}

/* A request waits, and every worker is busy. Returns when all that wait now are taken. */
static void clear_jam(void)
{
    at_most = false;
    jam_mark(service->connections);
    workers_computing(); /* notes the clocks */
    nap(WAIT_TIME);
    refused_since = clock_ticks();
    int patience = 0; /* looks until there are fewer of them */
    while (!jam_is_passed(service->connections)) {
        bool needed = jam_idle(service->connections) == 0 && !is_stopping();
        if (needed && start_workers())
            patience = MANY_LOOKS;
        nap(patience > 0 ? GROWTH_LOOK : IDLE_LOOK);
        patience -= patience > 0;
    }
    if (jam_idle(service->connections) > 0)
        note_plenty();
}

/* -- Fewer workers -- */

static void note_need(void)
{
    free_since = clock_ticks();
    least_free = INT32_MAX;
}

/* One free worker stays for the next request, while others are at scripts that wait. */
static void dismiss_superfluous(void)
{
    int spare = jam_idle(service->connections) - 1, surplus = workers_surplus();
    if (spare > surplus)
        spare = surplus;
    if (spare < least_free)
        least_free = spare;
    if (spare <= 0) {
        note_need();
        jam_dismiss(service->connections, 0);
    } else if (clock_ticks() - free_since >= SUPERFLUOUS_TIME) {
        log_debug("workers that have nothing to do leave: %d", least_free);
        jam_dismiss(service->connections, least_free);
        note_need();
    }
}

/* -- The thread -- */

/* Milliseconds between two looks at free workers; -1: none can be superfluous. */
static int look_time(void)
{
    return atomic_load(&is_short) || workers_surplus() > 0 ? SUPERFLUOUS_TIME / LOOKS
                                                           : -1;
}

static void *govern(void *arg)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), "governor");
#endif
    struct connections *set = service->connections;
    log_hurry();
    while (!is_stopping()) {
        if (jam_await_busy(set, look_time())) {
            note_need();
            nap(BUSY_TIME);
            if (jam_idle(set) == 0 && jam_await_request(set, look_time()) &&
                jam_idle(set) == 0)
                clear_jam();
        }
        dismiss_superfluous();
        if (jam_idle(set) > 0)
            note_plenty();
    }
    return arg;
}

bool governor_start(const struct service *shared, int workers)
{
    service = shared;
    most_computing = workers;
    int error = pthread_create(&thread, NULL, govern, NULL);
    if (error != 0)
        log_error("cannot start the governor: %s", strerror(error));
    return error == 0;
}

unsigned governor_times_at_most(void)
{
    return atomic_load_explicit(&times_at_most, memory_order_relaxed);
}

struct governor_shortage governor_shortage(void)
{
    return (struct governor_shortage){.seconds = atomic_load(&seconds_short),
                                      .error = atomic_load(&why_short),
                                      .most = atomic_load(&most_short),
                                      .lasts = atomic_load(&is_short)};
}

void governor_stop(void)
{
    pthread_join(thread, NULL);
}
