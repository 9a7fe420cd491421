/* What the workers count.
 *
 * Created and destroyed by each worker, read by the heartbeat and the status. `lock`, a
 * leaf, guards the list, the totals, and what of each worker's numbers is in the totals.
 * The numbers are atomic, since they are read while their worker counts. */
#include "daemon/counters.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* What of a worker's numbers is in the totals already. */
struct counters_seen {
    unsigned long of[COUNTER_COUNT];
    unsigned long ranges[HISTOGRAM_COUNT][HISTOGRAM_RANGES];
    unsigned long sums[HISTOGRAM_COUNT];
};

const int32_t counters_ends[HISTOGRAM_RANGES] = {
    100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,
    100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 30000000, INT32_MAX};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct counters *all;          /* lock */
static struct counters_totals totals; /* lock */

struct counters *counters_create(void)
{
    void *memory;
    int error = posix_memalign(&memory, COUNTERS_LINE, sizeof(struct counters));
    if (error != 0) {
        errno = error;
        return NULL;
    }
    struct counters *c = memory;
    memset(c, 0, sizeof *c);
    c->seen = calloc(1, sizeof *c->seen);
    if (c->seen == NULL) {
        free(c);
        return NULL;
    }
    pthread_mutex_lock(&lock);
    c->next = all;
    all = c;
    pthread_mutex_unlock(&lock);
    return c;
}

/* Adds to the totals what has been counted since the last time. */
static void fold(uint64_t *total, unsigned long *seen, const atomic_ulong *now, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned long value =
            atomic_load_explicit((atomic_ulong *)&now[i], memory_order_relaxed);
        total[i] += value - seen[i];
        seen[i] = value;
    }
}

static void fold_locked(struct counters *c)
{
    enum { RANGES = HISTOGRAM_COUNT * HISTOGRAM_RANGES };
    fold(totals.of, c->seen->of, c->of, COUNTER_COUNT);
    fold(totals.ranges[0], c->seen->ranges[0], c->ranges[0], RANGES);
    fold(totals.sums, c->seen->sums, c->sums, HISTOGRAM_COUNT);
}

void counters_destroy(struct counters *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&lock);
    struct counters **link = &all;
    while (*link != c)
        link = &(*link)->next;
    *link = c->next;
    fold_locked(c);
    pthread_mutex_unlock(&lock);
    free(c->seen);
    free(c);
}

static void add_one(atomic_ulong *number, unsigned long n)
{
    unsigned long before = atomic_load_explicit(number, memory_order_relaxed);
    atomic_store_explicit(number, before + n, memory_order_relaxed);
}

void counters_time(struct counters *c, enum histogram which, int64_t nanoseconds)
{
    int64_t us = nanoseconds > 0 ? nanoseconds / 1000 : 0;
    int range = 0;
    while (range < HISTOGRAM_RANGES - 1 && us > counters_ends[range])
        range++;
    add_one(&c->ranges[which][range], 1);
    add_one(&c->sums[which], (unsigned long)us);
}

void counters_read(struct counters_totals *t)
{
    pthread_mutex_lock(&lock);
    for (struct counters *c = all; c != NULL; c = c->next)
        fold_locked(c);
    *t = totals;
    pthread_mutex_unlock(&lock);
}

/* The sum, so that no reader sees a request without its class. */
uint64_t counters_requests(const struct counters_totals *t)
{
    return t->of[COUNTER_2XX] + t->of[COUNTER_3XX] + t->of[COUNTER_4XX] +
           t->of[COUNTER_5XX];
}
