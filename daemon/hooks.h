/* The hooks of the configuration, luafcgid2-config(5): OnStart, OnHeartbeat and OnStop,
 * in a thread of their own, for which no other thread waits but at the end of the daemon.
 */
#ifndef LUAFCGID2_DAEMON_HOOKS_H
#define LUAFCGID2_DAEMON_HOOKS_H

#include "config.h"
#include <stdbool.h>
#include <stdint.h>

/* The hooks of a configuration that is in force from now on; NULL: it has none. Takes
 * them over; `why` is the argument of its OnStart, and of the OnStop of those before,
 * which come to their end first, if they do so within five seconds. If there can be no
 * thread, the log says so, and they never run. Never blocks. Main thread. */
void hooks_start(struct config *config, struct config_hooks *hooks, const char *why);

/* Heartbeat: says in the log that a hook takes long, and kills the children of one whose
 * time is over. */
void hooks_tick(void);

/* Ends what runs, calls OnStop, and waits for `timeout` milliseconds at most. false: a
 * hook still runs, as the log says, so what it uses must not be freed. Main thread. */
bool hooks_stop(int64_t timeout);

#endif
