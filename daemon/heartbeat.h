/* The heartbeat: the thread that sees to deadlines while the others work. */
#ifndef LUAFCGID2_DAEMON_HEARTBEAT_H
#define LUAFCGID2_DAEMON_HEARTBEAT_H

#include "daemon/service.h"
#include <stdbool.h>

/* Starts it. With more workers, or more closers, stuck than there are workers the process
 * exits, to be started anew. false: not possible, as the log says. Main thread. */
bool heartbeat_start(const struct service *service);

/* Ends it. Main thread. */
void heartbeat_stop(void);

#endif
