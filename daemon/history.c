/* The last minutes. A thread of its own looks once a second; it waits for nothing, and
 * nothing waits for it. `lock`, a leaf, guards what is said so below. */
#include "daemon/history.h"

#include "base/log.h"
#include "base/nap.h"
#include "config.h"
#include "daemon/activity.h"
#include "daemon/counters.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PERIOD 1000 /* milliseconds */
#define GROWTH 4    /* looks by which a queue is judged */

static const struct service *service; /* immutable while the thread runs */
static pthread_t thread;
static struct counters_totals before; /* the thread's */
static bool begun;                    /* the thread's: `before` is set */
static int lengths[GROWTH];           /* the thread's: of the queue, the last one last */
static unsigned seconds_grown;        /* the thread's */
static struct nap nap = NAP;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct history_second ring[HISTORY_SECONDS]; /* lock */
static int count, next;                             /* lock */
static struct history_most most;                    /* lock */
static struct history_queue queue;                  /* lock */

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

static void keep(const struct history_second *s, int length)
{
    pthread_mutex_lock(&lock);
    ring[next] = *s;
    next = (next + 1) % HISTORY_SECONDS;
    count += count < HISTORY_SECONDS;
    see_locked((struct history_most){s->busy, length});
    pthread_mutex_unlock(&lock);
}

/* Whether the queue has not been empty for GROWTH looks, and has become longer, or is
 * full. */
static void follow_queue(const struct history_queue *q, int full)
{
    memmove(lengths, lengths + 1, sizeof lengths - sizeof lengths[0]);
    lengths[GROWTH - 1] = q->to_accept + q->waiting;
    bool grows = lengths[GROWTH - 1] > lengths[0] || (full > 0 && q->to_accept >= full);
    for (int i = 0; i < GROWTH; i++)
        grows = grows && lengths[i] > 0;
    seconds_grown += grows;
    pthread_mutex_lock(&lock);
    queue = *q;
    queue.seconds_grown = seconds_grown;
    pthread_mutex_unlock(&lock);
}

static void note_second(const struct counters_totals *now, const struct history_queue *q)
{
    struct history_second s = {
        .requests = (unsigned)(counters_requests(now) - counters_requests(&before)),
        .errors = (unsigned)(now->of[COUNTER_ERRORS] - before.of[COUNTER_ERRORS]),
        .time = now->sums[HISTOGRAM_ANSWER] - before.sums[HISTOGRAM_ANSWER],
        .busy = busy_workers(),
        .waiting = q->waiting};
    keep(&s, q->to_accept + q->waiting);
}

/* Where a number may wrap around (daemon/counters.h) it must be read in any case. */
static void look(void)
{
    struct config *config = config_current();
    bool wanted = config != NULL && config_wants_status(config);
    config_unref(config);
    struct counters_totals now;
    struct history_queue q = {0};
    int full;
    counters_read(&now);
    connections_read_queue(service->connections, &q.to_accept, &full);
    q.waiting = connections_waiting(service->connections);
    follow_queue(&q, full);
    if (wanted && begun)
        note_second(&now, &q);
    before = now;
    begun = wanted;
}

static void *run(void *arg)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), "history");
#endif
    do
        look();
    while (nap_take(&nap, PERIOD));
    return arg;
}

bool history_start(const struct service *shared)
{
    service = shared;
    nap_begin(&nap);
    int error = pthread_create(&thread, NULL, run, NULL);
    if (error != 0)
        log_error("cannot start the thread that keeps the history: %s", strerror(error));
    return error == 0;
}

void history_stop(void)
{
    nap_end(&nap);
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

struct history_queue history_queue(void)
{
    pthread_mutex_lock(&lock);
    struct history_queue q = queue;
    pthread_mutex_unlock(&lock);
    return q;
}
