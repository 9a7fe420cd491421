/* The sweeper: the thread that looks which files of scripts have changed, and discards
 * the states that are no longer current.
 *
 * A file system may hold up a look for ever. Then another sweeper goes on with the files
 * of other file systems (lua/source.h). */
#ifndef LUAFCGID2_DAEMON_SWEEPER_H
#define LUAFCGID2_DAEMON_SWEEPER_H

#include "base/watch.h"
#include "pool.h"
#include <stdbool.h>
#include <stdint.h>

struct duration; /* daemon/duration.h */

/* Starts it. At most `most_stuck` sweepers that hang are replaced. false: not possible,
 * as the log says. Main thread. */
bool sweeper_start(struct pool *pool, int most_stuck);

/* Makes it look at everything now, after a reload. Any thread. */
void sweeper_wake(void);

/* Heartbeat: a sweeper hangs, and another one replaces it. sweeper_mend starts those that
 * could not be started before. */
void sweeper_replace(const struct watch_report *report);
void sweeper_mend(void);

/* How long a sweep takes. */
const struct duration *sweeper_duration(void);

/* Ends it. false: it is still at work after `timeout` milliseconds, as the log says, so
 * what it uses must not be freed. Main thread. */
bool sweeper_stop(int64_t timeout);

#endif
