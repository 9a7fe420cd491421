/* The closing room: threads that close Lua states, so that no request waits for the
 * finalizers of another.
 *
 * There is one closer, and more for a time while those there are have their hands full.
 * Each is watched as workers are. */
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

/* Starts the first closer; there will be at most one more than `workers`, and as many
 * stuck ones are replaced as there are workers. false: not possible, as the log says.
 * Main thread. */
bool closers_start(int workers);

/* Takes it over and returns at once; where no closer was started (tests) it is closed
 * here. Any thread, with no lock held. */
void closers_add(struct closing *c);

/* Heartbeat: one is stuck. false: too many are. */
bool closers_replace(const struct watch_report *report);
void closers_mend(void);

/* Closes what is left, then ends the closers. false: some still run after `timeout`
 * milliseconds, and what they use must not be freed. Main thread. */
bool closers_stop(int64_t timeout);

#endif
