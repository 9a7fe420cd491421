/* The clocks of sessions, in milliseconds. Nothing here blocks. */
#ifndef LUAFCGID2_STORE_MOMENT_H
#define LUAFCGID2_STORE_MOMENT_H

#include <stdint.h>

/* Never goes back, and counts the time that the machine slept where the system can tell.
 * Any thread. */
int64_t moment_now(void);

/* The wall clock, since 1970. Any thread. */
int64_t moment_wall(void);

/* For tests: other clocks; NULL for the system's. Before there are other threads. */
void moment_set_clocks(int64_t (*monotonic)(void), int64_t (*wall)(void));

#endif
