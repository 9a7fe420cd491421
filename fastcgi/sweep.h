/* Which connections are closed although neither side has asked for it: the late ones,
 * and, when something ran out, the one that is needed least. Nothing blocks. */
#ifndef LUAFCGID2_FASTCGI_SWEEP_H
#define LUAFCGID2_FASTCGI_SWEEP_H

#include "config.h"
#include "fastcgi/slot.h"
#include <stdbool.h>

/* Takes over the deadlines of the configuration. */
void sweep_set_limits(struct connections *set, const struct config *config);

/* By the owner. true: `c` has waited too long, and was closed. `now` is of clock_ticks.
 */
bool sweep_close_if_late(struct connections *set, struct connection *c, unsigned now);

/* The heartbeat's: closes `c` if it is parked and late. */
void sweep_one(struct connections *set, struct connection *c, unsigned now);

/* Any worker: something that connections need ran out. `error` is an errno; 0: there are
 * MaxConnections. */
void sweep_note_failure(struct connections *set, int error);

/* Any worker: closes the parked connection that is needed least. false: there is none. */
bool sweep_make_room(struct connections *set);

#endif
