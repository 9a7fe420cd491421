/* Time as the rooms count it: of the monotonic clock, which nobody sets. */
#ifndef LUAFCGID2_BASE_CLOCK_H
#define LUAFCGID2_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Milliseconds, which wrap: only differences mean something. As coarse as the kernel's
 * tick where that is cheaper: for what is read once per request. Safe in signal handlers.
 */
uint32_t clock_ticks(void);

int64_t clock_nanoseconds(void);
int64_t clock_milliseconds(void);

/* The moment `milliseconds` from now, for pthread_cond_timedwait. */
struct timespec clock_after(int64_t milliseconds);

#endif
