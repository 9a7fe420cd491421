/* The heartbeat watches deadlines: those of scripts four times in RequestTimeout, those
 * of connections and sessions about once a second. It finds the threads that are stuck,
 * and replaces them. It must not hang itself, so it runs no Lua, touches no file, the
 * log's included, and waits for no other thread. */
#include "daemon/heartbeat.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/nap.h"
#include "base/orphan.h"
#include "base/process.h"
#include "base/reserve.h"
#include "base/watch.h"
#include "config.h"
#include "daemon/access.h"
#include "daemon/hooks.h"
#include "daemon/notify.h"
#include "daemon/saver.h"
#include "daemon/slowlog.h"
#include "daemon/status_server.h"
#include "daemon/sweeper.h"
#include "daemon/warnings.h"
#include "daemon/worker.h"
#include "pool/closer.h"
#include "store/shared.h"
#include "store/store.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define SECOND   1000 /* milliseconds */
#define ORPHANS  3000 /* milliseconds between two looks for orphans */
#define SHORTEST 5    /* milliseconds that it sleeps at least */

/* Milliseconds that the log and the sessions have when the process must be ended. */
#define LAST_LINES 1000
#define LAST_SAVE  5000

static const struct service *service; /* immutable while the thread runs */
static pthread_t thread;
static struct nap rest = NAP;
static atomic_int lag, longest_lag; /* ms; written by the heartbeat */

/* Work that is done again and again. `due` is on clock_ticks. */
struct chore {
    uint32_t due;
};

static bool is_due(struct chore *c, uint32_t now, int64_t period)
{
    if (!deadline_is_over(c->due, now))
        return false;
    c->due = deadline_after(now, period);
    return true;
}

static void look_at_clients(const struct config *config)
{
    connections_tick(service->connections, config);
    status_server_tick(config);
    store_tick(service->sessions, config);
    shared_tick();
}

static void tell_manager(void)
{
    notify_sendf("WATCHDOG=1\nSTATUS=%u requests served, %zu Lua states, %zu connections",
                 workers_requests(), pool_states(service->pool),
                 connections_count(service->connections));
}

/* How long the next nap may be: at most a quarter of RequestTimeout, so that no script
 * runs much longer than that. */
static int64_t nap_length(const struct config *config)
{
    int64_t nap = SECOND;
    if (config->request_timeout > 0 && config->request_timeout / 4 < nap)
        nap = config->request_timeout / 4;
    if (config->slow_log_time > 0 && config->slow_log_time / 4 < nap)
        nap = config->slow_log_time / 4;
    return nap < SHORTEST ? SHORTEST : nap;
}

static void note_lag(int64_t due)
{
    int64_t late = clock_milliseconds() - due;
    int ms = late > 0 ? (int)late : 0;
    atomic_store_explicit(&lag, ms, memory_order_relaxed);
    if (ms > atomic_load_explicit(&longest_lag, memory_order_relaxed))
        atomic_store_explicit(&longest_lag, ms, memory_order_relaxed);
}

void heartbeat_lag(int *last, int *longest)
{
    *last = atomic_load_explicit(&lag, memory_order_relaxed);
    *longest = atomic_load_explicit(&longest_lag, memory_order_relaxed);
}

/* Sleeps for `length` milliseconds. false: it is time to end. */
static bool sleep_for(int64_t length)
{
    int64_t due = clock_milliseconds() + length;
    bool go_on = nap_take(&rest, length);
    note_lag(due);
    return go_on;
}

/* Ends the process at once, because a stuck thread never ends. */
static _Noreturn void give_up(const char *who)
{
    log_error("no %s: exiting, to be started anew", who);
    saver_stop(LAST_SAVE);
    connections_cut_all(service->connections);
    log_flush(LAST_LINES);
    _exit(70); /* EX_SOFTWARE */
}

static void on_stuck(const struct watch_report *report)
{
    switch (report->role) {
    case WATCH_WORKER:
        if (!workers_replace(report))
            give_up("worker is left that could serve");
        break;
    case WATCH_CLOSER:
        if (!closers_replace(report))
            give_up("thread is left that could close scripts");
        break;
    case WATCH_SWEEPER:
        sweeper_replace(report);
        break;
    case WATCH_SAVER:
        saver_report(report);
        break;
    }
}

static void mend(void)
{
    workers_mend();
    closers_mend();
    sweeper_mend();
}

/* A log file that somebody has removed is made anew by the main thread, as after a
 * rotation. It is asked once, whatever comes of it. */
static void look_at_logs(bool *removed)
{
    bool before = *removed;
    *removed = log_is_removed() || access_is_removed() || slowlog_is_removed();
    if (*removed && !before)
        kill(getpid(), SIGUSR1);
    else if (before && !*removed)
        log_warning("a log file was removed, so the logs were opened again");
}

static void *beat(void *arg)
{
    struct chore clients = {clock_ticks()}, manager = clients, orphans = clients;
    int64_t manager_period = notify_watchdog() > 0 ? notify_watchdog() : 10 * SECOND;
    int64_t length = 0;
    bool removed = false; /* a log file was, the last time */
    log_hurry();
    while (sleep_for(length)) {
        struct config *config = config_current();
        uint32_t now = clock_ticks();
        watch_check(config->watchdog, on_stuck);
        slowlog_tick();
        mend();
        process_reap();
        if (is_due(&clients, now, SECOND)) {
            look_at_clients(config);
            hooks_tick();
            look_at_logs(&removed);
            warnings_tick(service, config);
            memory_tick(workers_requests());
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

bool heartbeat_start(const struct service *shared)
{
    nap_begin(&rest);
    service = shared;
    int error = pthread_create(&thread, NULL, beat, NULL);
    if (error != 0)
        log_error("cannot start the heartbeat: %s", strerror(error));
    return error == 0;
}

void heartbeat_stop(void)
{
    nap_end(&rest);
    pthread_join(thread, NULL);
}
