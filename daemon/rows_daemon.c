/* Rows of the status about the daemon itself. Runs in whatever thread shows the status.
 */
#include "daemon/rows_daemon.h"

#include "base/log.h"
#include "daemon/access.h"
#include "daemon/duration.h"
#include "daemon/figures.h"
#include "daemon/heartbeat.h"
#include "daemon/saver.h"
#include "daemon/slowlog.h"
#include "daemon/sweeper.h"
#include "daemon/view.h"
#include "store/channel.h"
#include "store/shared.h"
#include "store/store.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* -- Connections -- */

static const struct figures_row connection_rows[] = {
    {.key = "open",
     .kind = FIGURES_GAUGE,
     .metric = "connections",
     .help = "Open connections of web servers."},
    {.key = "parked",
     .kind = FIGURES_GAUGE,
     .metric = "connections_parked",
     .help = "Connections that wait for their next request."},
    {.key = "heads incomplete",
     .kind = FIGURES_GAUGE,
     .metric = "connections_incomplete",
     .help = "Connections that have sent a part of a request's head, or nothing yet."},
    {.key = "leaving",
     .kind = FIGURES_GAUGE,
     .metric = "connections_leaving",
     .help = "Connections that are being drained, written to or closed."},
    {.key = "evicted",
     .kind = FIGURES_COUNTER,
     .metric = "connections_evicted",
     .help = "Idle connections that were closed to make room for others."},
    {.key = "to accept",
     .kind = FIGURES_GAUGE,
     .metric = "listen_queue",
     .help = "Connections in the listening socket's queue."},
};

static void read_connections(struct figures *f)
{
    const struct connections_figures *c = &f->view->connections;
    figures_integer(f, c->open);
    figures_integer(f, c->parked);
    figures_integer(f, c->incomplete);
    figures_integer(f, c->leaving);
    figures_integer(f, c->evictions);
    figures_integer(f, f->view->queue);
}

static struct figures_group connections = {.name = "connections",
                                           .rows = connection_rows,
                                           .count = sizeof connection_rows /
                                                    sizeof connection_rows[0],
                                           .read = read_connections};

/* -- The process -- */

static const struct figures_row rows[] = {
    {.key = "version", .kind = FIGURES_TEXT},
    {.key = "process id", .kind = FIGURES_GAUGE},
    {.key = "memory resident",
     .kind = FIGURES_GAUGE,
     .metric = "memory_resident_bytes",
     .unit = "bytes",
     .help = "Memory that the daemon is resident with."},
    {.key = "cpu seconds",
     .kind = FIGURES_COUNTER,
     .metric = "cpu_seconds",
     .unit = "seconds",
     .help = "Time of processors that the daemon has used."},
    {.key = "heartbeat lag",
     .kind = FIGURES_GAUGE,
     .metric = "heartbeat_lag_seconds",
     .unit = "seconds",
     .help = "How late the heartbeat woke the last time."},
    {.key = "max heartbeat lag",
     .kind = FIGURES_GAUGE,
     .metric = "heartbeat_lag_max_seconds",
     .unit = "seconds",
     .help = "How late the heartbeat woke at most."},
    {.key = "sessions",
     .kind = FIGURES_GAUGE,
     .metric = "sessions",
     .help = "Sessions that are kept."},
    {.key = "sessions evicted",
     .kind = FIGURES_COUNTER,
     .metric = "sessions_evicted",
     .help = "Sessions that were deleted to keep to SessionMaxCount."},
    {.key = "slow session saves",
     .kind = FIGURES_COUNTER,
     .metric = "session_saves_slow",
     .help = "How often writing SessionFile took longer than a second."},
    {.key = "slow looks for edits",
     .kind = FIGURES_COUNTER,
     .metric = "sweeps_slow",
     .help = "How often a look for changed files took longer than a second."},
    {.key = "shared values",
     .kind = FIGURES_GAUGE,
     .metric = "shared_values",
     .help = "Values that scripts share."},
    {.key = "shared memory",
     .kind = FIGURES_GAUGE,
     .metric = "shared_bytes",
     .unit = "bytes",
     .help = "Memory of the values that scripts share."},
    {.key = "access log lines lost",
     .kind = FIGURES_COUNTER,
     .metric = "access_log_lines_lost",
     .help = "Lines of the access log that a full disk or a slow reader has cost."},
    {.key = "slow log lines lost",
     .kind = FIGURES_COUNTER,
     .metric = "slow_log_lines_lost",
     .help = "The same of the slow log."},
    {.key = "log lines lost",
     .kind = FIGURES_COUNTER,
     .metric = "log_lines_lost",
     .help = "The same of the log."},
};

/* 0 where the system does not tell. */
static int64_t resident(void)
{
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1)
        pages = 0;
    fclose(file);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static double seconds_of(const struct timeval *t)
{
    return (double)t->tv_sec + (double)t->tv_usec / 1e6;
}

static double processor_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
}

static void read_process(struct figures *f)
{
    int lag, longest, error;
    heartbeat_lag(&lag, &longest);
    figures_text(f, LUAFCGID2_RELEASE);
    figures_integer(f, (int64_t)getpid());
    figures_integer(f, resident());
    figures_real(f, processor_seconds());
    figures_real(f, lag / 1e3);
    figures_real(f, longest / 1e3);
    figures_integer(f, (int64_t)f->view->sessions);
    figures_integer(f, (int64_t)store_evictions(f->view->service->sessions));
    figures_integer(f, atomic_load(&saver_duration()->times));
    figures_integer(f, atomic_load(&sweeper_duration()->times));
    figures_integer(f, (int64_t)shared_count());
    figures_integer(f, (int64_t)shared_size());
    figures_integer(f, (int64_t)access_lost(&error));
    figures_integer(f, (int64_t)slowlog_lost(&error));
    figures_integer(f, (int64_t)log_lost());
}

static struct figures_group process = {.name = "daemon",
                                       .rows = rows,
                                       .count = sizeof rows / sizeof rows[0],
                                       .read = read_process};

/* -- Channels -- */

static const struct figures_row channel_rows[] = {
    {.key = "open",
     .kind = FIGURES_GAUGE,
     .metric = "channels",
     .help = "Channels that somebody is subscribed to."},
    {.key = "subscriptions",
     .kind = FIGURES_GAUGE,
     .metric = "channel_subscriptions",
     .help = "Subscriptions to channels, each channel counted."},
    {.key = "published",
     .kind = FIGURES_COUNTER,
     .metric = "channel_messages",
     .help = "Messages that were published where somebody was subscribed."},
    {.key = "lost",
     .kind = FIGURES_COUNTER,
     .metric = "channel_messages_lost",
     .help = "Messages that a slow subscription has missed (SubscriptionMaxSize)."},
    {.key = "waiting",
     .kind = FIGURES_GAUGE,
     .metric = "channel_bytes",
     .unit = "bytes",
     .help = "Memory of the messages that wait to be read."},
};

static void read_channels(struct figures *f)
{
    struct channel_figures c = channel_read();
    figures_integer(f, (int64_t)c.channels);
    figures_integer(f, (int64_t)c.subscriptions);
    figures_integer(f, (int64_t)c.published);
    figures_integer(f, (int64_t)c.lost);
    figures_integer(f, (int64_t)c.bytes);
}

static struct figures_group channels = {.name = "channels",
                                        .rows = channel_rows,
                                        .count =
                                            sizeof channel_rows / sizeof channel_rows[0],
                                        .read = read_channels};

void rows_daemon_register(void)
{
    figures_register(&connections);
    figures_register(&channels);
    figures_register(&process);
}
