/* The monotonic clock, which nobody sets. Nothing here blocks. Any thread. */
#ifndef LUAFCGID2_BASE_CLOCK_H
#define LUAFCGID2_BASE_CLOCK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* Milliseconds, which wrap around: only differences mean something (base/deadline.h). As
 * coarse as the kernel's tick where that is cheaper: for what is read once per request.
 * Safe in signal handlers. */
uint32_t clock_ticks(void);

int64_t clock_nanoseconds(void);
int64_t clock_milliseconds(void);

/* The moment `milliseconds` from now, for pthread_cond_timedwait on a condition that was
 * made by clock_init_condition. */
struct timespec clock_after(int64_t milliseconds);

/* Makes a condition for waits by this clock; pthread_cond_destroy ends it. false: the
 * system cannot. */
bool clock_init_condition(pthread_cond_t *condition);

#endif
