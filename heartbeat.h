/* The threads that keep house while workers work: the heartbeat, which sees to deadlines,
 * and the sweeper, which finds changed files and closes stale states. */
#ifndef LUAFCGID2_HEARTBEAT_H
#define LUAFCGID2_HEARTBEAT_H

#include "worker.h"
#include <stdbool.h>

/* Starts both. With more than `max_stuck` sweepers stuck in finalizers the process exits,
 * to be started anew. false: not possible, as the log says. Main thread. */
bool heartbeat_start(const struct service *service, int max_stuck);

/* Makes the sweeper look at everything now: after a reload. Any thread. */
void heartbeat_wake(void);

/* Ends both. false: the sweeper is still at work after `timeout` milliseconds, and what
 * it uses must not be freed. Main thread. */
bool heartbeat_stop(int64_t timeout);

#endif
