/* Rows of the status about requests. Runs in whatever thread shows the status; the view
 * has all that is told here, but for the last errors and the last minutes. */
#include "daemon/rows_requests.h"

#include "daemon/figures.h"
#include "daemon/history.h"
#include "daemon/recent.h"
#include "daemon/view.h"

/* -- By the class of their status -- */

static const struct figures_row class_rows[] = {
    {.key = "count",
     .kind = FIGURES_COUNTER,
     .metric = "responses",
     .help = "Requests that were answered, by the class of their status."},
};

static void read_classes(struct figures *f)
{
    static const char *const names[] = {"2xx", "3xx", "4xx", "5xx"};
    for (int i = 0; i < 4; i++) {
        figures_entry(f, names[i], NULL);
        figures_integer(f, (int64_t)f->view->counters.of[COUNTER_2XX + i]);
    }
}

static struct figures_group classes = {.name = "responses",
                                       .labels = {"class"},
                                       .rows = class_rows,
                                       .count = sizeof class_rows / sizeof class_rows[0],
                                       .read = read_classes};

/* -- All together -- */

static const struct figures_row rows[] = {
    {.key = "errors",
     .kind = FIGURES_COUNTER,
     .metric = "errors",
     .help = "Requests that failed by the fault of their script or of the daemon."},
    {.key = "client gone",
     .kind = FIGURES_COUNTER,
     .metric = "requests_client_gone",
     .help = "Requests whose client did not wait for the whole answer."},
    {.key = "waits refused",
     .kind = FIGURES_COUNTER,
     .metric = "requests_wait_refused",
     .help = "Waits that MaxWaiting did not allow."},
    {.key = "waiting for a worker",
     .kind = FIGURES_GAUGE,
     .metric = "requests_waiting_for_worker",
     .help = "Requests that have come while every worker was busy, and wait."},
    {.key = "waiting",
     .kind = FIGURES_GAUGE,
     .metric = "requests_waiting",
     .help = "Requests that wait without a worker, as by Sleep."},
    {.key = "received bytes",
     .kind = FIGURES_COUNTER,
     .metric = "received_bytes",
     .unit = "bytes",
     .help = "Bytes of request bodies that scripts have read."},
    {.key = "sent bytes",
     .kind = FIGURES_COUNTER,
     .metric = "sent_bytes",
     .unit = "bytes",
     .help = "Bytes of answers, their heads included."},
    {.key = "time to answer",
     .kind = FIGURES_HISTOGRAM,
     .metric = "answer_seconds",
     .unit = "seconds",
     .help = "From when a worker took a request to when its answer was there."},
    {.key = "time queued",
     .kind = FIGURES_HISTOGRAM,
     .metric = "queued_seconds",
     .unit = "seconds",
     .help = "From when a request was seen to when a worker took it."},
};

static void tell(struct figures *f, enum histogram which)
{
    const struct counters_totals *t = &f->view->counters;
    figures_histogram(f, counters_ends, t->ranges[which], HISTOGRAM_RANGES,
                      t->sums[which]);
}

static void read_all(struct figures *f)
{
    const struct view *v = f->view;
    const uint64_t *of = v->counters.of;
    figures_integer(f, (int64_t)of[COUNTER_ERRORS]);
    figures_integer(f, (int64_t)of[COUNTER_GONE]);
    figures_integer(f, (int64_t)of[COUNTER_REFUSED]);
    figures_integer(f, v->connections.waiting);
    figures_integer(f, v->connections.resting);
    figures_integer(f, (int64_t)of[COUNTER_RECEIVED]);
    figures_integer(f, (int64_t)of[COUNTER_SENT]);
    tell(f, HISTOGRAM_ANSWER);
    tell(f, HISTOGRAM_QUEUE);
}

static struct figures_group all = {.name = "requests",
                                   .rows = rows,
                                   .count = sizeof rows / sizeof rows[0],
                                   .read = read_all};

/* -- The last errors -- */

static const struct figures_row error_rows[] = {
    {.key = "time", .kind = FIGURES_GAUGE},
    {.key = "status", .kind = FIGURES_GAUGE},
    {.key = "script", .kind = FIGURES_TEXT},
    {.key = "message", .kind = FIGURES_TEXT},
};

static void read_errors(struct figures *f)
{
    struct recent_error errors[RECENT_MOST];
    int n = recent_read(errors);
    for (int i = 0; i < n; i++) {
        figures_entry(f, errors[i].uri, NULL);
        figures_moment(f, errors[i].moment);
        figures_integer(f, errors[i].status);
        figures_text(f, errors[i].script);
        figures_text(f, errors[i].message);
    }
}

static struct figures_group last_errors = {.name = "last errors",
                                           .labels = {"uri"},
                                           .rows = error_rows,
                                           .count =
                                               sizeof error_rows / sizeof error_rows[0],
                                           .depth = FIGURES_FULL,
                                           .read = read_errors};

/* -- The last minutes -- */

static const struct figures_row second_rows[] = {
    {.key = "requests", .kind = FIGURES_GAUGE}, {.key = "errors", .kind = FIGURES_GAUGE},
    {.key = "time", .kind = FIGURES_GAUGE},     {.key = "busy", .kind = FIGURES_GAUGE},
    {.key = "waiting", .kind = FIGURES_GAUGE},
};

static void read_seconds(struct figures *f)
{
    struct history_second seconds[HISTORY_SECONDS];
    int n = history_read(seconds);
    for (int i = 0; i < n; i++) {
        const struct history_second *s = &seconds[i];
        char ago[32];
        snprintf(ago, sizeof ago, "%d", n - 1 - i);
        figures_entry(f, ago, NULL);
        figures_integer(f, s->requests);
        figures_integer(f, s->errors);
        figures_real(f, (double)s->time / 1e6);
        figures_integer(f, s->busy);
        figures_integer(f, s->waiting);
    }
}

static struct figures_group last_minutes = {.name = "last minutes",
                                            .labels = {"seconds ago"},
                                            .rows = second_rows,
                                            .count = sizeof second_rows /
                                                     sizeof second_rows[0],
                                            .depth = FIGURES_CHARTS,
                                            .read = read_seconds};

void rows_requests_register(void)
{
    figures_register(&classes);
    figures_register(&all);
    figures_register(&last_errors);
    figures_register(&last_minutes);
}
