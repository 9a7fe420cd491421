/* The accept loop of a worker thread: it waits for a request, and takes it from its head
 * to the end of its response (daemon/exchange.h).
 *
 * A worker owns its struct worker and all that this points to. Shared are only the crew
 * (base/crew.h, which has a lock), and the service, which is immutable. */
#include "daemon/worker.h"

#include "base/crew.h"
#include "base/log.h"
#include "daemon/access.h"
#include "daemon/activity.h"
#include "daemon/counters.h"
#include "daemon/exchange.h"
#include "lua/limit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct worker {
    struct exchange_worker own; /* what each exchange needs of it */
    struct exchanges kept;      /* those that are over */
};

static bool work(int id);

static struct crew crew = CREW("worker", work, LIMIT_STACK_BYTES);
static const struct service *shared; /* immutable once workers run */

/* -- Scheduling -- */

/* A worker that wakes up must not push the web server off its core: the web server has
 * more requests to hand out, and the worker then finds them one after the other, without
 * sleeping in between. That is a quarter more requests per second on two cores. A policy
 * that somebody has chosen stays. The call may fail: the systemd unit forbids it, and
 * sets the policy itself. */
static void let_the_web_server_finish(void)
{
#ifdef SCHED_BATCH
    struct sched_param param;
    int policy;
    if (pthread_getschedparam(pthread_self(), &policy, &param) == 0 &&
        policy == SCHED_OTHER)
        pthread_setschedparam(pthread_self(), SCHED_BATCH, &param);
#endif
}

/* -- One request -- */

/* Goes on with an exchange until it is over, or waits. */
static void go_on(struct worker *w, struct exchange *x)
{
    exchange_take_up(x, &w->own);
    if (!exchange_run(x)) {
        exchange_lay_down(x);
        exchange_wait(x);
        return;
    }
    exchange_finish(x);
    exchange_check_in(x);
    exchange_lay_down(x);
    exchange_close(x, &w->kept);
}

static void serve(struct worker *w, struct connection *c)
{
    struct exchange *x = exchange_open(&w->kept, c);
    if (x != NULL)
        go_on(w, x);
}

/* -- The thread -- */

static bool begin(struct worker *w, int id)
{
    w->own.id = id;
    log_set_worker(id);
    let_the_web_server_finish();
    directory_make_own(&w->own.directory);
    w->own.reader = connection_reader_create(shared->connections);
    return w->own.reader != NULL && exchanges_open(&w->kept, shared) &&
           (w->own.counters = counters_create()) != NULL &&
           (w->own.activity = activity_create(id, w->own.counters)) != NULL &&
           watch_create(WATCH_WORKER, id);
}

static void end(struct worker *w)
{
    watch_destroy();
    access_leave();
    activity_destroy(w->own.activity);
    counters_destroy(w->own.counters);
    exchanges_close(&w->kept);
    connection_reader_destroy(w->own.reader);
    directory_release(&w->own.directory);
    free(w);
}

/* A worker that was stuck ends if another has taken its place. */
static bool may_stay(void)
{
    if (!watch_was_stuck())
        return true;
    bool leaves = crew_came_back(&crew);
    log_warning("came back from where it was stuck%s", leaves ? ", and leaves" : "");
    watch_forgive();
    return !leaves;
}

static bool work(int id)
{
    struct worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return false;
    if (!begin(w, id)) {
        int error = errno;
        end(w);
        errno = error;
        return false;
    }
    crew_begun(&crew);
    while (may_stay()) {
        struct connection *c = connection_wait(shared->connections, w->own.reader);
        struct exchange *x = exchange_ready(w->own.reader);
        if (c != NULL)
            serve(w, c);
        else if (x != NULL)
            go_on(w, x);
        else if (connections_are_stopping(shared->connections) || crew_may_leave(&crew))
            break;
    }
    end(w);
    return true;
}

bool workers_start(const struct service *service, int count)
{
    shared = service;
    return crew_start(&crew, count, count);
}

bool workers_replace(const struct watch_report *report)
{
    bool possible = crew_replace(&crew, report->id);
    activity_mark_stuck(report->id);
    struct log_request_copy copy = report->request;
    struct log_request request = log_request_of(&copy);
    log_set_request(report->serving ? &request : NULL);
    log_error("worker %d is stuck %s %s; %s", report->id,
              report->reading ? "at the file" : "in a script that no limit reaches,",
              report->name[0] != '\0' ? report->name : "(not known)",
              possible ? "another takes its place" : "as all the others are");
    log_set_request(NULL);
    return possible;
}

int workers_add(int most)
{
    return crew_add(&crew, most);
}

int workers_surplus(void)
{
    return crew_surplus(&crew);
}

int workers_computing(void)
{
    return crew_computing(&crew);
}

void workers_mend(void)
{
    crew_mend(&crew);
}

bool workers_wait(int64_t timeout)
{
    return crew_wait(&crew, timeout);
}

unsigned workers_requests(void)
{
    struct counters_totals totals;
    counters_read(&totals);
    return (unsigned)counters_requests(&totals);
}
