/* The clocks of sessions. Any thread reads them; tests set them before they start any. */
#include "store/moment.h"

#include <stddef.h>
#include <time.h>

static int64_t milliseconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t system_monotonic(void)
{
#ifdef CLOCK_BOOTTIME
    return milliseconds(CLOCK_BOOTTIME);
#else
    return milliseconds(CLOCK_MONOTONIC);
#endif
}

static int64_t system_wall(void)
{
    return milliseconds(CLOCK_REALTIME);
}

static int64_t (*monotonic_now)(void) = system_monotonic;
static int64_t (*wall_now)(void) = system_wall;

int64_t moment_now(void)
{
    return monotonic_now();
}

int64_t moment_wall(void)
{
    return wall_now();
}

void moment_set_clocks(int64_t (*monotonic)(void), int64_t (*wall)(void))
{
    monotonic_now = monotonic != NULL ? monotonic : system_monotonic;
    wall_now = wall != NULL ? wall : system_wall;
}
