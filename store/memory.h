/* The store behind store/session.h: inside the session room only. */
#ifndef LUAFCGID2_STORE_MEMORY_H
#define LUAFCGID2_STORE_MEMORY_H

#include "base/siphash.h"
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

/* The shard that has the session, if there is one. */
struct shard *session_store_shard(struct session_store *s, const struct session_id *id);

/* Counts a session that is about to be inserted, and evicts others for it. */
void session_store_make_room(struct session_store *s, const struct config *config);

/* Frees a session that was removed for good. NULL is allowed. No lock held. */
void session_store_discard(struct session_store *s, struct session *session);

bool session_is_expired(const struct session *s, const struct config *config,
                        int64_t now);

/* Milliseconds that never go back. */
int64_t session_now(void);

/* At most 256 bytes from the kernel. false with errno. */
bool session_random(void *data, size_t len);

#endif
