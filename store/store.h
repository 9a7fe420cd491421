/* The store of sessions: its life, its bounds and SessionFile. The first part is for the
 * daemon; scripts come by store/session.h, which uses the second.
 *
 * Any function may be called from any thread unless it says otherwise. Locks are internal
 * leaves, and none is held while a file is read or written. */
#ifndef LUAFCGID2_STORE_STORE_H
#define LUAFCGID2_STORE_STORE_H

#include "base/siphash.h"
#include "config.h"
#include "store/shard.h"
#include <stdatomic.h>

#define SESSION_SHARDS 16

struct session_store {
    struct shard shards[SESSION_SHARDS];
    unsigned char secret[SIPHASH_SECRET_SIZE]; /* of identities; immutable */
    atomic_size_t count; /* sessions in all shards, and those on their way into one */
    /* Of session_regenerate: how many sessions ever left a shard for another one, and how
     * many are between two just now. A save sees by them what may have gone past it. */
    atomic_uint moves, moving;

    /* Of the thread that saves. */
    atomic_flag saving;
    unsigned round; /* number of the last save; never 0 */
    int64_t saved_at, save_took;
    bool save_failed;
};

/* -- For the daemon -- */

/* Reads SessionFile when it is set: one that is damaged is renamed FILE.damaged and
 * logged. NULL with errno: out of memory or entropy. Before the threads start, and as the
 * user who will write the file. */
struct session_store *store_create(const struct config *config);
void store_destroy(struct session_store *s); /* does not write; see store_save */

/* Heartbeat, about once a second: drops a bounded share of what has expired, and makes
 * room when SessionMaxCount has become smaller. */
void store_sweep(struct session_store *s, const struct config *config);

/* Writes SessionFile atomically (write, fsync, rename, fsync of the directory; mode 0600)
 * while requests go on. Without SessionFile it does nothing. Blocks on the disk. One
 * thread at a time (daemon/saver.h). false is logged. */
bool store_save(struct session_store *s, const struct config *config);

/* About once a second: store_save when it is due. A change of data is written
 * within 10 s and a mere use within 5 minutes, but at most 1 % of the time is spent on
 * writing (an SD card may be slow). */
void store_autosave(struct session_store *s, const struct config *config);

/* How many there are, expired ones that were not swept yet counted. */
size_t store_count(const struct session_store *s);

/* For tests: other clocks, in milliseconds; NULL for the system's. Before the threads. */
void store_set_clocks(int64_t (*monotonic)(void), int64_t (*wall)(void));

/* -- Inside store/ -- */

/* The shard that has the session, if there is one. */
struct shard *store_shard(struct session_store *s, const struct session_id *id);

/* Counts a session that is about to be inserted, and evicts others for it. */
void store_make_room(struct session_store *s, const struct config *config);

/* Frees a session that was removed for good. NULL is allowed. No lock held. */
void store_discard(struct session_store *s, struct session *session);

bool store_is_expired(const struct session *s, const struct config *config, int64_t now);

/* Milliseconds that never go back. */
int64_t store_now(void);

#endif
