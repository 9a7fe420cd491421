/* What it costs a worker to count a request, in nanoseconds of its processor.
 *
 *     counting
 *
 * Two threads are two workers, with counters of their own (daemon/counters.h); a third
 * one reads, as the status does. Prints three numbers, each the least of several rounds:
 * for a worker alone; for one beside the other and the reader, which is the same as long
 * as they share no cache line; and, for comparison, for one that shares its numbers with
 * the other, as most programs do. */
#include "daemon/counters.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum { REQUESTS = 1000000, ROUNDS = 7 };

static atomic_bool go, stop;

struct worker {
    bool shares;
    double nanoseconds; /* of one request */
};

static atomic_ulong shared[COUNTER_COUNT + 4];

static double processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* All that one request counts: its class, its bytes, how long it waited and took. */
static void count(struct counters *c, int i)
{
    counters_add(c, COUNTER_SENT, 100);
    counters_add(c, COUNTER_RECEIVED, 10);
    counters_add(c, COUNTER_2XX, 1);
    counters_time(c, HISTOGRAM_ANSWER, 20000 + i % 1000000);
    counters_time(c, HISTOGRAM_QUEUE, 0);
}

/* The same in numbers that all workers write. */
static void count_shared(int i)
{
    atomic_fetch_add(&shared[COUNTER_SENT], 100);
    atomic_fetch_add(&shared[COUNTER_RECEIVED], 10);
    atomic_fetch_add(&shared[COUNTER_2XX], 1);
    for (int n = 0; n < 4; n++)
        atomic_fetch_add(&shared[COUNTER_COUNT + n], (unsigned long)i);
}

static void *work(void *arg)
{
    struct worker *w = arg;
    struct counters *c = counters_create();
    if (c == NULL)
        return NULL;
    while (!atomic_load(&go))
        ;
    double before = processor_time();
    for (int i = 0; i < REQUESTS; i++)
        if (w->shares)
            count_shared(i);
        else
            count(c, i);
    w->nanoseconds = (processor_time() - before) / REQUESTS;
    counters_destroy(c);
    return NULL;
}

/* A thousand times as often as the status page asks. */
static void *read_often(void *arg)
{
    struct counters_totals totals;
    while (!atomic_load(&stop)) {
        counters_read(&totals);
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    return arg;
}

static double round_of(int workers, bool reader, bool shares)
{
    struct worker w[2] = {{shares, 0}, {shares, 0}};
    pthread_t threads[2], reading;
    atomic_store(&go, false);
    atomic_store(&stop, false);
    for (int i = 0; i < workers; i++)
        pthread_create(&threads[i], NULL, work, &w[i]);
    if (reader)
        pthread_create(&reading, NULL, read_often, NULL);
    atomic_store(&go, true);
    for (int i = 0; i < workers; i++)
        pthread_join(threads[i], NULL);
    atomic_store(&stop, true);
    if (reader)
        pthread_join(reading, NULL);
    return w[0].nanoseconds;
}

static double least_of(int workers, bool reader, bool shares)
{
    double least = round_of(workers, reader, shares);
    for (int i = 1; i < ROUNDS; i++) {
        double ns = round_of(workers, reader, shares);
        least = ns < least ? ns : least;
    }
    return least;
}

int main(void)
{
    double alone = least_of(1, false, false), beside = least_of(2, true, false);
    printf("%.1f %.1f %.1f\n", alone, beside, least_of(2, false, true));
    return 0;
}
