/* The heartbeat thread: finds changed files every MinFileInfoTime, and about once a
 * second what is late, idle or expired. `lock` guards its two flags; nothing else is
 * touched while it is held. */
#include "heartbeat.h"

#include "clock.h"
#include "config.h"
#include "limit.h"
#include "log.h"
#include "notify.h"
#include "source.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECOND 1000 /* milliseconds */

static const struct service *service; /* immutable while the thread runs */
static pthread_t thread;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;
static bool stopping, woken; /* lock */

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

static void on_stuck(int worker, const char *script)
{
    if (!workers_replace(worker, script)) {
        log_error("no worker is left that could serve: exiting, to be started anew");
        _exit(70); /* EX_SOFTWARE; what is stuck cannot be waited for */
    }
}

static void look_at_files(const struct config *config)
{
    source_sweep(config->use_file_checksum);
    pool_sweep(service->pool);
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
    if (config->min_file_info_time < nap)
        nap = config->min_file_info_time;
    if (config->request_timeout > 0 && config->request_timeout / 4 < nap)
        nap = config->request_timeout / 4;
    return nap < 5 ? 5 : nap;
}

/* Sleeps for `length` milliseconds or until woken. false: it is time to end. */
static bool nap(int64_t length, bool *was_woken)
{
    struct timespec until = clock_after(length);
    pthread_mutex_lock(&lock);
    while (!stopping && !woken && pthread_cond_timedwait(&changed, &lock, &until) == 0)
        ;
    *was_woken = woken;
    woken = false;
    bool go_on = !stopping;
    pthread_mutex_unlock(&lock);
    return go_on;
}

static void *beat(void *arg)
{
    (void)arg;
    struct chore files = {clock_ticks()}, clients = files, manager = files;
    int64_t manager_period = notify_watchdog() > 0 ? notify_watchdog() : 10 * SECOND;
    bool was_woken = false;
    int64_t length = 0;
    while (nap(length, &was_woken)) {
        struct config *config = config_current();
        uint32_t now = clock_ticks();
        limit_watch_check(config->watchdog, on_stuck);
        if (is_due(&files, now, config->min_file_info_time) || was_woken)
            look_at_files(config);
        if (is_due(&clients, now, SECOND))
            look_at_clients(config);
        if (is_due(&manager, now, manager_period))
            tell_manager();
        length = nap_length(config);
        config_unref(config);
    }
    return NULL;
}

bool heartbeat_start(const struct service *shared)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &attributes);
    pthread_condattr_destroy(&attributes);
    service = shared;
    pthread_attr_t own;
    pthread_attr_init(&own);
    pthread_attr_setstacksize(&own, LIMIT_STACK_BYTES); /* it closes states */
    int error = pthread_create(&thread, &own, beat, NULL);
    pthread_attr_destroy(&own);
    if (error != 0)
        log_error("cannot start the heartbeat thread: %s", strerror(error));
    return error == 0;
}

static void set_flag(bool *flag)
{
    pthread_mutex_lock(&lock);
    *flag = true;
    pthread_cond_signal(&changed);
    pthread_mutex_unlock(&lock);
}

void heartbeat_wake(void)
{
    set_flag(&woken);
}

void heartbeat_stop(void)
{
    set_flag(&stopping);
    pthread_join(thread, NULL);
}
