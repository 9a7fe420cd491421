/* The saver: the thread that writes SessionFile, so that no other thread waits for the
 * disk. */
#ifndef LUAFCGID2_DAEMON_SAVER_H
#define LUAFCGID2_DAEMON_SAVER_H

#include "base/watch.h"
#include "store/session.h"
#include <stdbool.h>
#include <stdint.h>

struct duration; /* daemon/duration.h */

/* Starts it. false: not possible, as the log says. Main thread. */
bool saver_start(struct session_store *sessions);

/* Heartbeat: says in the log that the saver is late. */
void saver_report(const struct watch_report *report);

/* How long writing takes. */
const struct duration *saver_duration(void);

/* Makes it save a last time and end. false: it has not ended after `timeout`
 * milliseconds, as the log says, so the store must not be freed. Once, main thread or
 * heartbeat. */
bool saver_stop(int64_t timeout);

#endif
