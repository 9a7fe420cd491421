/* The sweeper: the thread that looks which files of scripts have changed, and sorts out
 * the states that are of no more use.
 *
 * A file system may hold up a look for ever. Then another sweeper goes on with the files
 * of the other ones (lua/source.h). */
#ifndef LUAFCGID2_DAEMON_SWEEPER_H
#define LUAFCGID2_DAEMON_SWEEPER_H

#include "base/watch.h"
#include "pool.h"
#include <stdbool.h>
#include <stdint.h>

/* Starts it; at most `most_stuck` that hang are replaced. false: not possible, as the log
 * says. Main thread. */
bool sweeper_start(struct pool *pool, int most_stuck);

/* Has it look at everything now: after a reload. Any thread. */
void sweeper_wake(void);

/* Heartbeat: one hangs. */
void sweeper_replace(const struct watch_report *report);
void sweeper_mend(void);

/* Ends it. false: it still is at work after `timeout` milliseconds, as the log says, and
 * what it uses must not be freed. Main thread. */
bool sweeper_stop(int64_t timeout);

#endif
