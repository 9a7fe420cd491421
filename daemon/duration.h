/* How long something takes that is done again and again, and should take less than a
 * second. Whoever does it notes each time; the heartbeat warns (daemon/warnings.c).
 * Nothing blocks; any thread. Zeroed memory is one of which nothing was noted. */
#ifndef LUAFCGID2_DAEMON_DURATION_H
#define LUAFCGID2_DAEMON_DURATION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { DURATION_LONG = 1000 }; /* ms; what takes longer is told of */

struct duration {
    atomic_uint times;   /* that it took longer */
    atomic_uint last;    /* in ms, how long the last of these */
    atomic_bool is_long; /* so did the last time */
};

/* It has taken so many milliseconds. */
void duration_note(struct duration *d, uint32_t ms);

#endif
