/* The saver: the thread that writes SessionFile, so that nobody else waits for the disk.
 */
#ifndef LUAFCGID2_DAEMON_SAVER_H
#define LUAFCGID2_DAEMON_SAVER_H

#include "base/watch.h"
#include "store/session.h"
#include <stdbool.h>
#include <stdint.h>

/* Starts it. false: not possible, as the log says. Main thread. */
bool saver_start(struct session_store *sessions);

/* Heartbeat: says that it is late. */
void saver_report(const struct watch_report *report);

/* Has it save a last time and end. false: it has not after `timeout` milliseconds, as the
 * log says, and the store must not be freed. Once, main thread or heartbeat. */
bool saver_stop(int64_t timeout);

#endif
