/* The governor: the thread that starts more workers while scripts wait for a database, a
 * program or a slow peer, so that they delay no other request.
 *
 * WorkerThreads is how many requests compute at once. When a request has waited for a
 * while because every worker is busy, and fewer than WorkerThreads of them use a
 * processor, more workers start, up to WorkerThreadsMax. Workers that have had nothing to
 * do for long leave. */
#ifndef LUAFCGID2_DAEMON_GOVERNOR_H
#define LUAFCGID2_DAEMON_GOVERNOR_H

#include "daemon/worker.h"
#include <stdbool.h>

/* Starts it. `workers` is how many run, and how many may compute. false: not possible, as
 * the log says. Main thread. */
bool governor_start(const struct service *service, int workers);

/* How often requests waited while WorkerThreadsMax workers were busy. Any thread. */
unsigned governor_times_at_most(void);

/* Requests that wait because another worker cannot be started. */
struct governor_shortage {
    unsigned seconds; /* for how long that was so, since the start */
    int error;        /* why, the last time: EALREADY if there were WorkerThreadsMax */
    int most;         /* which were so many */
    bool lasts;       /* it is so now */
};

/* Any thread. */
struct governor_shortage governor_shortage(void);

/* Ends it, after connections_stop and before workers_wait: it starts workers. Takes some
 * milliseconds. Main thread. */
void governor_stop(void);

#endif
