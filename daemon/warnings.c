/* Warnings of limits that cost time or data. Runs in the heartbeat, which owns all of
 * this. What happened is counted where it happens; here it is looked at once a second. */
#include "daemon/warnings.h"

#include "base/alarm.h"
#include "base/clock.h"
#include "base/log.h"
#include "daemon/access.h"
#include "daemon/counters.h"
#include "daemon/duration.h"
#include "daemon/governor.h"
#include "daemon/history.h"
#include "daemon/saver.h"
#include "daemon/slowlog.h"
#include "daemon/sweeper.h"
#include "store/store.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

/* What was counted of one thing since the start, and whether it lasts. */
struct sight {
    uint64_t total;
    bool lasts;
};

struct warning {
    struct sight (*look)(const struct service *service);
    /* It has happened so often since the last word about it. */
    void (*say)(unsigned count, const struct config *c);
    const char *over; /* what the log says when it is over */
    struct alarm alarm;
    uint64_t seen;
};

/* -- Workers -- */

static struct sight see_shortage(const struct service *service)
{
    (void)service;
    struct governor_shortage s = governor_shortage();
    return (struct sight){s.seconds, s.lasts};
}

static void say_shortage(unsigned count, const struct config *c)
{
    (void)c;
    struct governor_shortage s = governor_shortage();
    if (s.error == EALREADY)
        log_warning("requests wait: all %d workers are busy with scripts that wait, for"
                    " %u s; raise WorkerThreadsMax",
                    s.most, count);
    else
        log_warning("requests wait: another worker cannot be started, for %u s: %s",
                    count, strerror(s.error));
}

static struct sight see_queue(const struct service *service)
{
    (void)service;
    struct history_queue q = history_queue();
    return (struct sight){q.seconds_grown, q.to_accept + q.waiting > 0};
}

static void say_queue(unsigned count, const struct config *c)
{
    struct history_queue q = history_queue();
    log_warning("the queue grows, for %u s: %d requests wait for a worker, and %d"
                " connections to be accepted; raise WorkerThreads (%d) if the processors"
                " have time left, else look for slow scripts (SlowLogTime)",
                count, q.waiting, q.to_accept, c->worker_threads);
}

static struct sight see_refusals(const struct service *service)
{
    (void)service;
    struct counters_totals t;
    counters_read(&t);
    return (struct sight){.total = t.of[COUNTER_REFUSED]};
}

static void say_refusals(unsigned count, const struct config *c)
{
    log_warning("%d requests wait already, and more get 503: %u did; raise MaxWaiting",
                c->max_waiting, count);
}

/* -- Lua states -- */

static struct sight see_evictions(const struct service *service)
{
    return (struct sight){.total = pool_read(service->pool).evictions};
}

static void say_evictions(unsigned count, const struct config *c)
{
    log_warning("Lua states were closed to make room for those of other scripts: %u; if"
                " memory allows, raise LuaTotalStates (%d)",
                count, c->lua_total_states);
}

static struct sight see_extras(const struct service *service)
{
    return (struct sight){.total = pool_read(service->pool).extras};
}

static void say_extras(unsigned count, const struct config *c)
{
    log_warning("Lua states were made for one request only, because all states of the"
                " script were busy: %u; raise LuaMaxStates (%d), or LuaTotalStates (%d)",
                count, c->lua_max_states, c->lua_total_states);
}

/* -- Connections -- */

static int connection_error; /* as of the last look */

static struct sight see_connections(const struct service *service)
{
    struct connections_shortage s = connections_read_shortage(service->connections);
    connection_error = s.error;
    return (struct sight){s.failures, s.lasts};
}

static void say_connections(unsigned count, const struct config *c)
{
    if (connection_error == 0)
        log_warning("MaxConnections are open: idle connections are closed to make room,"
                    " %u times; raise MaxConnections (%d)",
                    count, c->max_connections);
    else
        log_warning("%s: idle connections are closed to make room, %u times; raise the"
                    " limit of open files (LimitNOFILE, ulimit -n)",
                    strerror(connection_error), count);
}

/* -- Sessions and files -- */

static struct sight see_sessions(const struct service *service)
{
    return (struct sight){.total = store_evictions(service->sessions)};
}

static void say_sessions(unsigned count, const struct config *c)
{
    log_warning("sessions were deleted to make room for new ones: %u; raise"
                " SessionMaxCount (%d), or lower SessionTime",
                count, c->session_max_count);
}

static struct sight see_duration(const struct duration *d)
{
    return (struct sight){atomic_load(&d->times), atomic_load(&d->is_long)};
}

static struct sight see_saving(const struct service *service)
{
    (void)service;
    return see_duration(saver_duration());
}

static void say_saving(unsigned count, const struct config *c)
{
    log_warning("SessionFile %s: writing took %u ms, and %u times more than a second;"
                " put it on a faster disk, or lower SessionMaxCount (%d)",
                c->session_file, atomic_load(&saver_duration()->last), count,
                c->session_max_count);
}

static struct sight see_sweeps(const struct service *service)
{
    (void)service;
    return see_duration(sweeper_duration());
}

static void say_sweeps(unsigned count, const struct config *c)
{
    log_warning("a look for changed files took %u ms, and %u times more than a second;"
                " edits are seen late: put the scripts on a faster disk, or raise"
                " MinFileInfoTime (%d)",
                atomic_load(&sweeper_duration()->last), count, c->min_file_info_time);
}

/* -- Logs -- */

static const char *reason_of_loss(int error)
{
    return error == EAGAIN ? "its file does not take them fast enough" : strerror(error);
}

static struct sight see_access_log(const struct service *service)
{
    (void)service;
    int error;
    return (struct sight){.total = access_lost(&error)};
}

static void say_access_log(unsigned count, const struct config *c)
{
    (void)c;
    int error;
    access_lost(&error);
    log_warning("%u lines of the access log were lost: %s", count, reason_of_loss(error));
}

static struct sight see_slow_log(const struct service *service)
{
    (void)service;
    int error;
    return (struct sight){.total = slowlog_lost(&error)};
}

static void say_slow_log(unsigned count, const struct config *c)
{
    (void)c;
    int error;
    slowlog_lost(&error);
    log_warning("%u lines of the slow log were lost: %s", count, reason_of_loss(error));
}

/* -- All of them -- */

static struct warning all[] = {
    {see_shortage, say_shortage, .over = "requests do not wait for a worker any more"},
    {see_queue, say_queue, .over = "the queue is empty again"},
    {see_refusals, say_refusals, .over = "no more waits are refused (MaxWaiting)"},
    {see_evictions, say_evictions, .over = "no more Lua states are closed to make room"},
    {see_extras, say_extras, .over = "no more Lua states are made for one request only"},
    {see_connections, say_connections,
     .over = "connections are accepted without trouble again"},
    {see_sessions, say_sessions, .over = "no more sessions are deleted to make room"},
    {see_saving, say_saving, .over = "SessionFile is written within a second again"},
    {see_sweeps, say_sweeps, .over = "changed files are found within a second again"},
    {see_access_log, say_access_log, .over = "no more lines of the access log are lost"},
    {see_slow_log, say_slow_log, .over = "no more lines of the slow log are lost"},
};

static void say_over(const struct warning *w, unsigned count)
{
    if (count > 0)
        log_warning("%s (%u more, since the last word about it)", w->over, count);
    else
        log_warning("%s", w->over);
}

static void ask(struct warning *w, const struct service *service,
                const struct config *config)
{
    unsigned count;
    struct sight s = w->look(service);
    unsigned fresh = (unsigned)(s.total - w->seen); /* some totals wrap around */
    if (fresh > 0 && fresh <= INT_MAX) {
        alarm_note(&w->alarm, fresh);
        w->seen = s.total;
    }
    if (s.lasts)
        alarm_last(&w->alarm, clock_ticks());
    switch (alarm_ask(&w->alarm, clock_ticks(), &count)) {
    case ALARM_SAY:
        w->say(count, config);
        break;
    case ALARM_OVER:
        say_over(w, count);
        break;
    case ALARM_NOTHING:
        break;
    }
}

void warnings_tick(const struct service *service, const struct config *config)
{
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        ask(&all[i], service, config);
}
