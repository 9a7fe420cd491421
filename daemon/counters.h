/* What the workers count, for the heartbeat and whoever shows figures.
 *
 * Each worker counts in memory of its own, which no other thread writes, so counting
 * costs a worker nothing that others do. A reader adds up what all workers have counted,
 * those that have ended too. */
#ifndef LUAFCGID2_DAEMON_COUNTERS_H
#define LUAFCGID2_DAEMON_COUNTERS_H

#include <stdatomic.h>

enum counter {
    COUNTER_REQUESTS, /* served, whatever came of them */
    COUNTER_COUNT,
};

#define COUNTERS_LINE 64 /* bytes of a cache line */

/* Of one worker. */
struct counters {
    _Alignas(COUNTERS_LINE) atomic_uint of[COUNTER_COUNT]; /* written by the worker */
    struct counters *next;                                 /* under the lock */
};

/* NULL: out of memory, with errno. Any thread. */
struct counters *counters_create(void);

/* What was counted stays in the totals. NULL is allowed. */
void counters_destroy(struct counters *c);

/* By the worker whose `c` is. */
static inline void counters_add(struct counters *c, enum counter which)
{
    unsigned n = atomic_load_explicit(&c->of[which], memory_order_relaxed);
    atomic_store_explicit(&c->of[which], n + 1, memory_order_relaxed);
}

/* Of all workers since the start; wraps. Any thread. Holds a lock meanwhile, but for no
 * longer than it takes to add the numbers. */
unsigned counters_total(enum counter which);

#endif
