/* The worker threads: each takes a connection whose request is there, runs the script for
 * it, and gives both back. */
#ifndef LUAFCGID2_DAEMON_WORKER_H
#define LUAFCGID2_DAEMON_WORKER_H

#include "base/watch.h"
#include "daemon/service.h"
#include <stdbool.h>
#include <stdint.h>

/* Starts `count` workers with every signal blocked but the one of lua/limit.h, and waits
 * until they are ready. false: not all could be started, as the log says. Main thread. */
bool workers_start(const struct service *service, int count);

/* One worker is stuck: starts another in its place. The stuck one ends when it comes back
 * from where it hangs. false: as many are stuck as were started at first, and only a new
 * process helps. Heartbeat. */
bool workers_replace(const struct watch_report *report);

/* The governor: one more, if fewer than `most` are able to work, until the connections
 * dismiss it; how many more there are than were started at first; how many compute. See
 * base/crew.h. */
int workers_add(int most);
int workers_surplus(void);
int workers_computing(void);

/* Heartbeat: starts those that could not be started before. */
void workers_mend(void);

/* Waits until every worker has ended, after connections_stop, for at most `timeout`
 * milliseconds. false: some still run. */
bool workers_wait(int64_t timeout);

/* Requests served since the start; wraps. */
unsigned workers_requests(void);

#endif
