/* SessionFile of the sessions in a set of shards: when it is written, and how that is
 * done while requests go on. store/file.h has the format. */
#ifndef LUAFCGID2_STORE_SAVE_H
#define LUAFCGID2_STORE_SAVE_H

#include "config.h"
#include "store/shard.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct save {
    struct shard *shards; /* borrowed; immutable, as are the next two */
    int shard_count;
    const unsigned char *secret; /* borrowed; of clients' hashes */
    /* How many sessions ever left a shard for another one, and how many are between two
     * just now. A pass over the shards may have missed these. */
    atomic_uint moves, moving;

    /* Of the thread that saves. */
    atomic_flag saving;
    unsigned round; /* number of the last save; never 0 after it */
    int64_t saved_at, took;
    int64_t told_at; /* of a failure, while `failed` */
    bool failed;
};

/* `save` is zeroed but for what is borrowed. */
void save_init(struct save *save);

/* Calls put(session, arg) for each session of SessionFile; the session is the callee's.
 * `secret` becomes the file's. Logs what is wrong with the file. false: there is none, or
 * it cannot be used; what was put must go. */
bool save_load(const struct config *config, unsigned char *secret,
               void (*put)(struct session *s, void *arg), void *arg);

/* As store_save and store_autosave. No lock of a shard held. */
bool save_now(struct save *save, const struct config *config);
bool save_if_due(struct save *save, const struct config *config);

/* A session leaves its shard for another, and has arrived: to be called before and
 * after. */
void save_note_leaving(struct save *save);
void save_note_arrival(struct save *save);

#endif
