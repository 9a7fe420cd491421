/* The heartbeat: the thread that watches the deadlines while the others work. */
#ifndef LUAFCGID2_DAEMON_HEARTBEAT_H
#define LUAFCGID2_DAEMON_HEARTBEAT_H

#include "daemon/service.h"
#include <stdbool.h>

/* Starts it. If more workers, or more closers, are stuck than there are workers, it ends
 * the process, so that the service manager starts it anew. false: not possible, as the
 * log says. Main thread. */
bool heartbeat_start(const struct service *service);

/* Ends it. Main thread. */
void heartbeat_stop(void);

/* How many milliseconds too late it woke the last time, and at most. Any thread. */
void heartbeat_lag(int *last, int *longest);

#endif
