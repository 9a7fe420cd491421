/* A shard of the sessions in this process. For store/local.c and store/save.c only.
 * Whoever calls a function that ends in _locked holds the shard's lock, or there is no
 * other thread yet. */
#ifndef LUAFCGID2_STORE_SHARD_H
#define LUAFCGID2_STORE_SHARD_H

#include "base/hash.h"
#include "base/list.h"
#include "store/id.h"
#include "store/lease.h"
#include "store/realm.h"
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct session {
    struct session_id id;
    struct hash_link by_id;
    struct link by_use; /* free to use while no shard has the session */
    struct lease lease;
    unsigned saved; /* the round of the last save that has it */
    struct realms data;
};

/* Walks over the list that release the lock between sessions. */
enum shard_cursor { SHARD_CURSOR_SWEEP, SHARD_CURSOR_SAVE, SHARD_CURSORS };

struct shard {
    /* On a cache line of its own, so that the locks of two shards do not slow each
     * other. */
    _Alignas(64) pthread_mutex_t lock;
    /* All else is guarded by the lock, and so are the sessions and their data. */
    struct hash by_id;
    struct link by_use;                    /* the longest idle one first */
    struct session *cursor[SHARD_CURSORS]; /* the next session of each walk, or NULL */
    bool changed, touched;                 /* since the last save began */
};

/* 0 or an errno value. */
int shard_init(struct shard *shard);
void shard_destroy(struct shard *shard); /* of an empty shard */

/* NULL: not there. */
struct session *shard_find_locked(struct shard *shard, const struct session_id *id);

/* Adds the session as the one used last. Its id must not be there. Cannot fail. */
void shard_insert_locked(struct shard *shard, struct session *s);

/* Takes the session out; it is the caller's. NULL: not there. */
struct session *shard_remove_locked(struct shard *shard, const struct session_id *id);

/* The longest idle session; the one after `s` in that order. NULL: there is none. */
struct session *shard_oldest_locked(struct shard *shard);
struct session *shard_newer_locked(struct shard *shard, const struct session *s);

/* Notes a use: the session becomes the one used last. */
void shard_touch_locked(struct shard *shard, struct session *s, int64_t now);

#endif
