/* The two threads that keep house.
 *
 * The heartbeat sees to deadlines: of scripts, four times in RequestTimeout, and about
 * once a second of connections and sessions; it writes SessionFile. It must not hang: it
 * runs no Lua and looks at no script's file.
 *
 * The sweeper does: every MinFileInfoTime it looks which files changed, and closes the
 * states that are of no more use. Closing runs finalizers. One that nothing stops is
 * dealt with as a stuck worker is: the heartbeat starts another sweeper, and the stuck
 * one leaves after this sweep.
 *
 * `lock` guards what is said so below; nothing else is touched while it is held. */
#include "heartbeat.h"

#include "clock.h"
#include "config.h"
#include "limit.h"
#include "log.h"
#include "memory.h"
#include "notify.h"
#include "orphan.h"
#include "process.h"
#include "reserve.h"
#include "source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND   1000 /* milliseconds */
#define ORPHANS  3000 /* milliseconds between two looks for orphans */
#define SHORTEST 5    /* milliseconds that either sleeps at least */
#define SWEEPER  0    /* what limit.h calls it; workers count from 1 */

static const struct service *service; /* immutable while the thread runs */
static int most_stuck;                /* immutable while the thread runs */
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* any of what `lock` guards */
static bool stopping, woken;   /* lock */
static int sweepers, stuck;    /* lock: that run; that are stuck, of these */

/* Work that recurs. `due` is on clock_ticks. */
struct chore {
    uint32_t due;
};

static bool is_due(struct chore *c, uint32_t now, int64_t period)
{
    if ((int32_t)(now - c->due) < 0)
        return false;
    c->due = now + (uint32_t)period;
    return true;
}

static void look_at_clients(const struct config *config)
{
    connections_sweep(service->connections, config);
    session_store_sweep(service->sessions, config);
    session_store_autosave(service->sessions, config);
}

static void tell_manager(void)
{
    notify_sendf("WATCHDOG=1\nSTATUS=%u requests served, %zu Lua states, %zu connections",
                 workers_requests(), pool_states(service->pool),
                 connections_count(service->connections));
}

/* How long the next nap may be: a quarter of the time limit, so that none is exceeded by
 * more than that. */
static int64_t nap_length(const struct config *config)
{
    int64_t nap = SECOND;
    if (config->request_timeout > 0 && config->request_timeout / 4 < nap)
        nap = config->request_timeout / 4;
    return nap < SHORTEST ? SHORTEST : nap;
}

/* Sleeps for `length` milliseconds, or with `wakes` until woken. false: it is time to
 * end. */
static bool nap(int64_t length, bool wakes)
{
    struct timespec until = clock_after(length);
    pthread_mutex_lock(&lock);
    while (!stopping && !(wakes && woken) &&
           pthread_cond_timedwait(&changed, &lock, &until) == 0)
        ;
    if (wakes)
        woken = false;
    bool go_on = !stopping;
    pthread_mutex_unlock(&lock);
    return go_on;
}

/* -- The sweeper -- */

/* Milliseconds until the next. */
static int64_t sweep(void)
{
    struct config *config = config_current();
    int64_t period = config->min_file_info_time;
    source_sweep(config->use_file_checksum);
    pool_sweep(service->pool);
    config_unref(config);
    return period < SHORTEST ? SHORTEST : period;
}

/* Without memory for a watch it goes unwatched. */
static bool is_stuck(const struct limit_watch *watch)
{
    return watch != NULL && limit_watch_was_stuck(watch);
}

static void *run_sweeper(void *arg)
{
    struct limit_watch *watch = limit_watch_create(SWEEPER);
    int64_t length = 0;
    while (!is_stuck(watch) && nap(length, true))
        length = sweep();
    bool was_stuck = is_stuck(watch);
    if (watch != NULL)
        limit_watch_destroy(watch);
    if (was_stuck)
        log_warning("a finalizer (__gc) that was stuck has come to its end");
    pthread_mutex_lock(&lock);
    sweepers--;
    stuck -= was_stuck;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return arg;
}

static bool start_thread(pthread_t *started, void *(*run)(void *), const char *name)
{
    pthread_attr_t own;
    pthread_attr_init(&own);
    pthread_attr_setstacksize(&own, LIMIT_STACK_BYTES); /* the sweeper closes states */
    int error = pthread_create(started, &own, run, NULL);
    pthread_attr_destroy(&own);
    if (error != 0)
        log_error("cannot start the %s thread: %s", name, strerror(error));
    return error == 0;
}

static bool start_sweeper(void)
{
    pthread_t started;
    pthread_mutex_lock(&lock);
    sweepers++;
    pthread_mutex_unlock(&lock);
    if (start_thread(&started, run_sweeper, "sweeper")) {
        pthread_detach(started);
        return true;
    }
    pthread_mutex_lock(&lock);
    sweepers--;
    pthread_mutex_unlock(&lock);
    return false;
}

static bool replace_sweeper(const char *script)
{
    pthread_mutex_lock(&lock);
    bool possible = ++stuck <= most_stuck;
    pthread_mutex_unlock(&lock);
    log_error("a finalizer (__gc) of %s is stuck where no limit reaches it", script);
    return possible && start_sweeper();
}

/* -- The heartbeat -- */

static void on_stuck(int worker, const char *script)
{
    if (worker == SWEEPER ? replace_sweeper(script) : workers_replace(worker, script))
        return;
    log_error("no %s is left that could %s: exiting, to be started anew",
              worker == SWEEPER ? "sweeper" : "worker",
              worker == SWEEPER ? "close scripts" : "serve");
    struct config *config = config_current();
    session_store_save(service->sessions, config);
    connections_cut_all(service->connections);
    _exit(70); /* EX_SOFTWARE; what is stuck cannot be waited for */
}

static void *beat(void *arg)
{
    struct chore clients = {clock_ticks()}, manager = clients, orphans = clients;
    int64_t manager_period = notify_watchdog() > 0 ? notify_watchdog() : 10 * SECOND;
    int64_t length = 0;
    while (nap(length, false)) {
        struct config *config = config_current();
        uint32_t now = clock_ticks();
        limit_watch_check(config->watchdog, on_stuck);
        process_reap();
        if (is_due(&clients, now, SECOND)) {
            look_at_clients(config);
            memory_sweep(workers_requests());
            reserve_fill();
        }
        if (is_due(&orphans, now, ORPHANS))
            orphan_reap();
        if (is_due(&manager, now, manager_period))
            tell_manager();
        length = nap_length(config);
        config_unref(config);
    }
    return arg;
}

bool heartbeat_start(const struct service *shared, int max_stuck)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
    pthread_condattr_destroy(&attributes);
    service = shared;
    most_stuck = max_stuck;
    return start_sweeper() && start_thread(&thread, beat, "heartbeat");
}

static void set_flag(bool *flag)
{
    pthread_mutex_lock(&lock);
    *flag = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void heartbeat_wake(void)
{
    set_flag(&woken);
}

bool heartbeat_stop(int64_t timeout)
{
    struct timespec until = clock_after(timeout);
    int error = 0;
    set_flag(&stopping);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&lock);
    while (sweepers > 0 && error == 0)
        error = pthread_cond_timedwait(&changed, &lock, &until);
    bool all = sweepers == 0;
    pthread_mutex_unlock(&lock);
    return all;
}
