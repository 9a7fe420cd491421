/* The store of sessions, as the daemon sees it: its life, its bounds, and SessionFile.
 * Scripts come by store/session.h.
 *
 * Any function may be called from any thread unless it says otherwise. */
#ifndef LUAFCGID2_STORE_STORE_H
#define LUAFCGID2_STORE_STORE_H

#include "config.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session_store;

/* Reads SessionFile when it is set: one that is damaged is renamed FILE.damaged and
 * logged. NULL with errno: out of memory or entropy. Before the threads start, and as the
 * user who will write the file. */
struct session_store *store_create(const struct config *config);
void store_destroy(struct session_store *s); /* does not write; see store_save */

/* Heartbeat, about once a second: drops a bounded share of what has expired, and makes
 * room when SessionMaxCount has become smaller. */
void store_tick(struct session_store *s, const struct config *config);

/* Writes SessionFile atomically (write, fsync, rename, fsync of the directory; mode 0600)
 * while requests go on. Without SessionFile it does nothing. Blocks on the disk. One
 * thread at a time (daemon/saver.h). false is logged. */
bool store_save(struct session_store *s, const struct config *config);

/* About once a second: store_save when it is due. A change of data is written within 10 s
 * and a mere use within 5 minutes, but at most 1 % of the time is spent on writing (an SD
 * card may be slow). Whether it was due. */
bool store_autosave(struct session_store *s, const struct config *config);

/* How many sessions there are. Expired ones count until they are swept. */
size_t store_count(const struct session_store *s);

/* How many were deleted since the start to keep to SessionMaxCount. */
uint64_t store_evictions(const struct session_store *s);

#endif
