/* What the workers count, for the heartbeat and whoever shows figures.
 *
 * Each worker counts in memory of its own, which no other thread writes, so counting
 * costs a worker nothing that others do. A reader adds up what all workers have counted,
 * those that have ended too. */
#ifndef LUAFCGID2_DAEMON_COUNTERS_H
#define LUAFCGID2_DAEMON_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

enum counter {
    COUNTER_2XX, /* requests, by the class of their answer's status, */
    COUNTER_3XX,
    COUNTER_4XX,
    COUNTER_5XX,     /* but for those that the daemon itself answered (daemon/status.h) */
    COUNTER_ERRORS,  /* that ended with an error in the log */
    COUNTER_GONE,    /* whose client did not wait for the answer */
    COUNTER_REFUSED, /* waits that MaxWaiting did not allow */
    COUNTER_RECEIVED, /* bytes of bodies that came */
    COUNTER_SENT,     /* bytes of responses that went out, heads included */
    COUNTER_COUNT,
};

/* How long something took, by ranges. */
enum histogram {
    HISTOGRAM_ANSWER, /* from the request's head to the end of its answer */
    HISTOGRAM_QUEUE,  /* from when it was seen to when a worker took it */
    HISTOGRAM_COUNT,
};

enum { HISTOGRAM_RANGES = 18 };                       /* the last has no end */
extern const int32_t counters_ends[HISTOGRAM_RANGES]; /* microseconds, included */

#define COUNTERS_LINE 64 /* bytes of a cache line */

/* Of one worker, who alone writes what is atomic. */
struct counters {
    _Alignas(COUNTERS_LINE) atomic_ulong of[COUNTER_COUNT];
    atomic_ulong ranges[HISTOGRAM_COUNT][HISTOGRAM_RANGES];
    atomic_ulong sums[HISTOGRAM_COUNT]; /* microseconds */
    struct counters *next;              /* under the lock, */
    struct counters_seen *seen;         /* and this, too */
};

/* All that was counted since the start. */
struct counters_totals {
    uint64_t of[COUNTER_COUNT];
    uint64_t ranges[HISTOGRAM_COUNT][HISTOGRAM_RANGES];
    uint64_t sums[HISTOGRAM_COUNT];
};

/* NULL: out of memory, with errno. Any thread. */
struct counters *counters_create(void);

/* What was counted stays in the totals. NULL is allowed. */
void counters_destroy(struct counters *c);

/* By the worker whose `c` is. */
static inline void counters_add(struct counters *c, enum counter which, unsigned long n)
{
    unsigned long before = atomic_load_explicit(&c->of[which], memory_order_relaxed);
    atomic_store_explicit(&c->of[which], before + n, memory_order_relaxed);
}

/* The same for a time. */
void counters_time(struct counters *c, enum histogram which, int64_t nanoseconds);

/* Of all workers. Any thread. Holds a lock meanwhile, but for no longer than it takes to
 * add the numbers. Where unsigned long has 32 bits it must be called before one of a
 * worker's numbers has wrapped around: every second is often enough. */
void counters_read(struct counters_totals *totals);

/* Requests, whatever came of them. */
uint64_t counters_requests(const struct counters_totals *totals);

#endif
