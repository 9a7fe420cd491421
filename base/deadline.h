/* Deadlines on clock_ticks, which wraps around: a deadline is within 24 days of `now`, in
 * the past or the future. Pure; safe in signal handlers. */
#ifndef LUAFCGID2_BASE_DEADLINE_H
#define LUAFCGID2_BASE_DEADLINE_H

#include <stdbool.h>
#include <stdint.h>

/* The deadline `milliseconds` after `now`. */
static inline uint32_t deadline_after(uint32_t now, int64_t milliseconds)
{
    return now + (uint32_t)milliseconds;
}

/* Milliseconds until the deadline; less than 0: it is over for that long. */
static inline int32_t deadline_left(uint32_t deadline, uint32_t now)
{
    return (int32_t)(deadline - now);
}

static inline bool deadline_is_over(uint32_t deadline, uint32_t now)
{
    return deadline_left(deadline, now) <= 0;
}

#endif
