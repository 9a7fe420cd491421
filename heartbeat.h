/* The heartbeat: the one thread that keeps house while workers work. */
#ifndef LUAFCGID2_HEARTBEAT_H
#define LUAFCGID2_HEARTBEAT_H

#include "worker.h"
#include <stdbool.h>

/* Starts the thread. false: not possible, as the log says. Main thread. */
bool heartbeat_start(const struct service *service);

/* Makes it look at everything now: after a reload. Any thread. */
void heartbeat_wake(void);

/* Ends the thread and waits for it. Main thread. */
void heartbeat_stop(void);

#endif
