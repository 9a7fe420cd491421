/* Rows of the status that php-fpm's has, too, by the same keys and in the same order; and
 * each worker, as php-fpm tells its processes. Runs in whatever thread shows the status;
 * the view has all that is told here. */
#include "daemon/rows_processes.h"

#include "daemon/figures.h"
#include "daemon/governor.h"
#include "daemon/slowlog.h"
#include "daemon/view.h"

#include <string.h>
#include <sys/resource.h>

/* -- All together -- */

static const struct figures_row rows[] = {
    {.key = "pool", .kind = FIGURES_TEXT},
    {.key = "process manager", .kind = FIGURES_TEXT},
    {.key = "start time",
     .kind = FIGURES_GAUGE,
     .metric = "start_time_seconds",
     .unit = "seconds",
     .help = "When the daemon started, in seconds since 1970."},
    {.key = "start since",
     .kind = FIGURES_GAUGE,
     .metric = "uptime_seconds",
     .unit = "seconds",
     .help = "How long the daemon has run."},
    {.key = "accepted conn",
     .kind = FIGURES_COUNTER,
     .metric = "requests",
     .help = "Requests that were answered, but those for the status."},
    {.key = "listen queue",
     .kind = FIGURES_GAUGE,
     .metric = "queue_requests",
     .help = "Connections in the listening socket's queue, and requests that wait for a "
             "worker."},
    {.key = "max listen queue",
     .kind = FIGURES_GAUGE,
     .metric = "queue_requests_max",
     .help = "The most of these that was seen."},
    {.key = "listen queue len",
     .kind = FIGURES_GAUGE,
     .metric = "listen_queue_limit",
     .help = "Connections that the system lets into the listening socket's queue."},
    {.key = "idle processes",
     .kind = FIGURES_GAUGE,
     .metric = "workers_idle",
     .help = "Workers without a request."},
    {.key = "active processes",
     .kind = FIGURES_GAUGE,
     .metric = "workers_active",
     .help = "Workers with a request."},
    {.key = "total processes",
     .kind = FIGURES_GAUGE,
     .metric = "workers",
     .help = "Workers."},
    {.key = "max active processes",
     .kind = FIGURES_GAUGE,
     .metric = "workers_active_max",
     .help = "The most workers with a request that were seen."},
    {.key = "max children reached",
     .kind = FIGURES_COUNTER,
     .metric = "workers_max_reached",
     .help = "How often requests waited while WorkerThreadsMax workers were busy."},
    {.key = "slow requests",
     .kind = FIGURES_COUNTER,
     .metric = "slow_requests",
     .help = "Requests that ran longer than SlowLogTime."},
    {.key = "memory peak",
     .kind = FIGURES_GAUGE,
     .metric = "memory_peak_bytes",
     .unit = "bytes",
     .help = "The most memory that the daemon was resident with."},
};

/* POSIX leaves the unit of ru_maxrss open; but on macOS it is a KiB. */
static int64_t memory_peak(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
#ifdef __APPLE__
    return usage.ru_maxrss;
#else
    return (int64_t)usage.ru_maxrss * 1024;
#endif
}

static void read_all(struct figures *f)
{
    const struct view *v = f->view;
    const struct config *c = v->config;
    figures_text(f, "luafcgid2");
    figures_text(f, c->worker_threads_max > c->worker_threads ? "dynamic" : "static");
    figures_moment(f, v->started);
    figures_integer(f, (int64_t)(v->now - v->started));
    figures_integer(f, (int64_t)counters_requests(&v->counters));
    figures_integer(f, v->queue + v->connections.waiting);
    figures_integer(f, v->most.waiting);
    figures_integer(f, v->queue_limit);
    figures_integer(f, v->worker_count - v->busy);
    figures_integer(f, v->busy);
    figures_integer(f, v->worker_count);
    figures_integer(f, v->most.busy);
    figures_integer(f, governor_times_at_most());
    figures_integer(f, (int64_t)slowlog_count());
    figures_integer(f, memory_peak());
}

static struct figures_group all = {
    .rows = rows, .count = sizeof rows / sizeof rows[0], .read = read_all};

/* -- Each worker -- */

static const struct figures_row process_rows[] = {
    {.key = "pid", .kind = FIGURES_GAUGE},
    {.key = "state", .kind = FIGURES_TEXT},
    {.key = "start time", .kind = FIGURES_GAUGE},
    {.key = "start since", .kind = FIGURES_GAUGE},
    {.key = "requests",
     .kind = FIGURES_COUNTER,
     .metric = "worker_requests",
     .help = "Requests that the worker has answered."},
    {.key = "request duration", .kind = FIGURES_GAUGE},
    {.key = "request method", .kind = FIGURES_TEXT},
    {.key = "request uri", .said = "request URI", .kind = FIGURES_TEXT},
    {.key = "content length", .kind = FIGURES_GAUGE},
    {.key = "user", .kind = FIGURES_TEXT},
    {.key = "script", .kind = FIGURES_TEXT},
    {.key = "last request cpu", .kind = FIGURES_GAUGE},
    {.key = "last request memory", .kind = FIGURES_GAUGE},
    {.key = "doing", .kind = FIGURES_TEXT},
    {.key = "received bytes",
     .kind = FIGURES_COUNTER,
     .metric = "worker_received_bytes",
     .unit = "bytes",
     .help = "Bytes of request bodies that came to the worker."},
    {.key = "sent bytes",
     .kind = FIGURES_COUNTER,
     .metric = "worker_sent_bytes",
     .unit = "bytes",
     .help = "Bytes of answers that the worker has sent, their heads included."},
};

static const char *doing(const struct activity_note *n)
{
    static const char *const names[] = {[ACTIVITY_IDLE] = "idle",
                                        [ACTIVITY_COMPUTES] = "computing",
                                        [ACTIVITY_WAITS] = "waiting",
                                        [ACTIVITY_STUCK] = "stuck"};
    return names[n->state];
}

/* php-fpm writes a dash for what is not known. */
static void tell(struct figures *f, const char *text)
{
    figures_text(f, text[0] != '\0' ? text : "-");
}

static void read_process(struct figures *f, const struct activity_note *n, time_t now)
{
    char number[32];
    snprintf(number, sizeof number, "%d", n->id);
    figures_entry(f, number, NULL);
    figures_integer(f, n->thread);
    figures_text(f, n->state == ACTIVITY_IDLE ? "Idle" : "Running");
    figures_moment(f, n->started);
    figures_integer(f, (int64_t)(now - n->started));
    figures_integer(f, (int64_t)n->requests);
    figures_integer(f, n->duration / 1000);
    tell(f, n->method);
    tell(f, n->uri);
    figures_integer(f, n->content_length);
    tell(f, n->user);
    tell(f, n->script);
    figures_real(f, (double)(int)(n->processor * 10000) / 100);
    figures_integer(f, (int64_t)n->memory);
    figures_text(f, doing(n));
    figures_integer(f, (int64_t)n->received);
    figures_integer(f, (int64_t)n->sent);
}

static void read_processes(struct figures *f)
{
    const struct view *v = f->view;
    for (int i = 0; i < v->worker_count; i++)
        read_process(f, &v->workers[i], v->now);
}

static struct figures_group processes = {.name = "processes",
                                         .labels = {"worker"},
                                         .rows = process_rows,
                                         .count =
                                             sizeof process_rows / sizeof process_rows[0],
                                         .depth = FIGURES_FULL,
                                         .read = read_processes};

void rows_processes_register(void)
{
    figures_register(&all);
    figures_register(&processes);
}
