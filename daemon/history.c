/* The last minutes. A thread of its own looks once a second; it waits for nothing, and
 * nothing waits for it. `lock`, a leaf, guards what is said so below. */
#include "daemon/history.h"

#include "base/clock.h"
#include "base/log.h"
#include "config.h"
#include "daemon/activity.h"
#include "daemon/counters.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD 1000 /* milliseconds */

static const struct service *service; /* immutable while the thread runs */
static pthread_t thread;
static struct counters_totals before; /* the thread's */
static bool begun;                    /* the thread's: `before` is set */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;                      /* `stopping` */
static bool stopping;                               /* lock */
static struct history_second ring[HISTORY_SECONDS]; /* lock */
static int count, next;                             /* lock */
static struct history_most most;                    /* lock */

static int busy_workers(void)
{
    int all, busy = 0;
    struct activity_note *notes = activity_read(&all);
    for (int i = 0; i < all; i++)
        busy += notes[i].state != ACTIVITY_IDLE;
    free(notes);
    return busy;
}

static void see_locked(struct history_most now)
{
    if (now.busy > most.busy)
        most.busy = now.busy;
    if (now.waiting > most.waiting)
        most.waiting = now.waiting;
}

static void keep(const struct history_second *s, int queue)
{
    pthread_mutex_lock(&lock);
    ring[next] = *s;
    next = (next + 1) % HISTORY_SECONDS;
    count += count < HISTORY_SECONDS;
    see_locked((struct history_most){s->busy, queue});
    pthread_mutex_unlock(&lock);
}

static void look(void)
{
    struct counters_totals now;
    int queue, limit;
    counters_read(&now);
    if (begun) {
        struct history_second s = {
            .requests = (unsigned)(counters_requests(&now) - counters_requests(&before)),
            .errors = (unsigned)(now.of[COUNTER_ERRORS] - before.of[COUNTER_ERRORS]),
            .time = now.sums[HISTOGRAM_ANSWER] - before.sums[HISTOGRAM_ANSWER],
            .busy = busy_workers(),
            .waiting = connections_waiting(service->connections)};
        connections_read_queue(service->connections, &queue, &limit);
        keep(&s, queue + s.waiting);
    }
    before = now;
    begun = true;
}

/* Where a number may wrap around (daemon/counters.h) it must be read in any case. */
static void look_if_wanted(void)
{
    struct config *config = config_current();
    bool wanted = config != NULL && config_wants_status(config);
    config_unref(config);
    if (wanted) {
        look();
    } else {
        struct counters_totals totals;
        counters_read(&totals);
        begun = false;
    }
}

static bool nap(void)
{
    struct timespec until = clock_after(PERIOD);
    pthread_mutex_lock(&lock);
    while (!stopping && pthread_cond_timedwait(&changed, &lock, &until) == 0)
        ;
    bool go_on = !stopping;
    pthread_mutex_unlock(&lock);
    return go_on;
}

static void *run(void *arg)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), "history");
#endif
    do
        look_if_wanted();
    while (nap());
    return arg;
}

bool history_start(const struct service *shared)
{
    service = shared;
    stopping = false;
    clock_init_condition(&changed);
    int error = pthread_create(&thread, NULL, run, NULL);
    if (error != 0)
        log_error("cannot start the thread that keeps the history: %s", strerror(error));
    return error == 0;
}

void history_stop(void)
{
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
}

int history_read(struct history_second seconds[HISTORY_SECONDS])
{
    pthread_mutex_lock(&lock);
    int n = count;
    for (int i = 0; i < n; i++)
        seconds[i] = ring[(next - n + i + HISTORY_SECONDS) % HISTORY_SECONDS];
    pthread_mutex_unlock(&lock);
    return n;
}

struct history_most history_see(struct history_most now)
{
    pthread_mutex_lock(&lock);
    see_locked(now);
    struct history_most m = most;
    pthread_mutex_unlock(&lock);
    return m;
}
