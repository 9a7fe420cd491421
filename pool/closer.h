/* Closers: threads that close Lua states, so that no request waits for the finalizers of
 * another one's state.
 *
 * There is one closer. While all closers are busy, more are started for a time. Each is
 * watched as workers are. */
#ifndef LUAFCGID2_POOL_CLOSER_H
#define LUAFCGID2_POOL_CLOSER_H

#include "base/watch.h"
#include <stdbool.h>
#include <stdint.h>

/* What is to be closed; part of something larger. */
struct closing {
    struct closing *next;
    const char *name;                /* path of the script; lives as long as this */
    void (*close)(struct closing *); /* frees it */
};

/* Starts the first closer. At most one more than `workers` will run, and at most
 * `workers` stuck ones are replaced. false: not possible, as the log says. Main thread.
 */
bool closers_start(int workers);

/* Takes over `c` and returns at once. If no closer was started, as in tests, it is closed
 * here. Any thread, with no lock held. */
void closers_add(struct closing *c);

/* Heartbeat: a closer is stuck; another one replaces it. false: too many are stuck.
 * closers_mend starts those that could not be started before. */
bool closers_replace(const struct watch_report *report);
void closers_mend(void);

/* Closes what is left, then ends the closers. false: some still run after `timeout`
 * milliseconds, so what they use must not be freed. Main thread. */
bool closers_stop(int64_t timeout);

#endif
