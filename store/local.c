/* Sessions in this process.
 *
 * Main creates and destroys the store while there are no other threads; the heartbeat
 * sweeps, the saver saves, and workers do all else.
 *
 * The sessions lie in SHARDS shards, and the last byte of a session's id says in which. A
 * shard's lock guards all that is in it. It is a leaf; a thread holds one at a time, and
 * for no longer than it takes to look at, or copy, a few dozen sessions: memory is asked
 * for before, and what is large is freed after. A session that is in no shard belongs to
 * the thread that took it out. */
#include "store/local.h"

#include "base/log.h"
#include "base/random.h"
#include "base/sha256.h"
#include "store/moment.h"
#include "store/save.h"
#include "store/shard.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHARDS         16
#define SWEEP_CYCLE    32  /* sweeps that see every session once */
#define BATCH_SESSIONS 16  /* looked at while a lock is held, at most */
#define EVICT_BATCH    256 /* evicted by one sweep, at most */

_Static_assert(sizeof(struct session_id) == SHA256_SIZE, "an id is a hash");

struct local {
    struct session_store store;
    struct shard shards[SHARDS];
    atomic_size_t count; /* sessions in all shards, and those on their way into one */
    atomic_size_t evictions; /* sessions that were deleted to make room, ever */
    struct save save;
};

static struct local *local_of(const struct session_store *s)
{
    return CONTAINER(struct local, store, s);
}

static struct shard *shard_of(struct local *l, const struct session_id *id)
{
    return &l->shards[id->hash[SHA256_SIZE - 1] % SHARDS];
}

/* -- Room -- */

/* A session that no shard has; NULL is allowed. */
static void free_session(struct session *s)
{
    if (s == NULL)
        return;
    realms_free(&s->data);
    free(s);
}

/* Frees a session that was removed for good. NULL is allowed. No lock held. */
static void discard(struct local *l, struct session *s)
{
    if (s != NULL)
        atomic_fetch_sub(&l->count, 1);
    free_session(s);
}

/* When the longest idle session of the shard was used; INT64_MAX: there is none. */
static int64_t oldest_use(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    struct session *s = shard_oldest_locked(shard);
    int64_t used = s != NULL ? s->lease.used : INT64_MAX;
    pthread_mutex_unlock(&shard->lock);
    return used;
}

/* Deletes the longest idle session. If another thread uses sessions between the look and
 * the deletion, it may be one that is nearly the longest idle. false: there is none. */
static bool evict(struct local *l)
{
    struct shard *shard = NULL;
    int64_t oldest = INT64_MAX;
    for (int i = 0; i < SHARDS; i++) {
        int64_t used = oldest_use(&l->shards[i]);
        if (used < oldest) {
            oldest = used;
            shard = &l->shards[i];
        }
    }
    if (shard == NULL)
        return false;
    pthread_mutex_lock(&shard->lock);
    struct session *s = shard_oldest_locked(shard);
    if (s != NULL)
        shard_remove_locked(shard, &s->id);
    pthread_mutex_unlock(&shard->lock);
    if (s != NULL)
        atomic_fetch_add(&l->evictions, 1);
    discard(l, s);
    return true;
}

static bool is_over(const struct local *l, const struct config *config)
{
    return config->session_max_count > 0 &&
           atomic_load(&l->count) > (size_t)config->session_max_count;
}

/* Counts a session that is about to be inserted, and evicts others for it. Not being in
 * its shard yet, it is never evicted itself. */
static void make_room(struct local *l, const struct config *config)
{
    atomic_fetch_add(&l->count, 1);
    while (is_over(l, config) && evict(l))
        continue;
}

/* -- Sweeping -- */

/* Looks at `count` sessions from where the last walk ended, or up to the end of the list,
 * and moves the expired ones to the list `expired`. */
static void sweep_locked(struct shard *shard, const struct config *config, int64_t now,
                         size_t count, struct link *expired)
{
    struct session *s = shard->cursor[SHARD_CURSOR_SWEEP];
    if (s == NULL)
        s = shard_oldest_locked(shard);
    while (s != NULL && count-- > 0) {
        struct session *newer = shard_newer_locked(shard, s);
        if (lease_is_expired(&s->lease, config, now)) {
            shard_remove_locked(shard, &s->id);
            list_append(expired, &s->by_use);
        }
        s = newer;
    }
    shard->cursor[SHARD_CURSOR_SWEEP] = s;
}

static void discard_all(struct local *l, struct link *list)
{
    while (!list_is_empty(list)) {
        struct link *first = list->next;
        list_remove(first);
        discard(l, CONTAINER(struct session, by_use, first));
    }
}

static void sweep_shard(struct local *l, struct shard *shard, const struct config *config)
{
    size_t left = BATCH_SESSIONS;
    bool first = true;
    while (left > 0) {
        size_t batch = left < BATCH_SESSIONS ? left : BATCH_SESSIONS;
        struct link expired;
        list_init(&expired);
        pthread_mutex_lock(&shard->lock);
        if (first)
            left += shard->by_id.count / SWEEP_CYCLE;
        sweep_locked(shard, config, moment_now(), batch, &expired);
        bool end = shard->cursor[SHARD_CURSOR_SWEEP] == NULL;
        pthread_mutex_unlock(&shard->lock);
        discard_all(l, &expired);
        left = end ? 0 : left - batch;
        first = false;
    }
}

static void tick(struct session_store *s, const struct config *config)
{
    struct local *l = local_of(s);
    for (int i = 0; i < SHARDS; i++)
        sweep_shard(l, &l->shards[i], config);
    for (int i = 0; i < EVICT_BATCH && is_over(l, config) && evict(l); i++)
        continue;
}

static size_t count(const struct session_store *s)
{
    return atomic_load(&local_of(s)->count);
}

static uint64_t evictions(const struct session_store *s)
{
    return atomic_load(&local_of(s)->evictions);
}

/* -- Sessions -- */

static enum lease_verdict find(struct session_store *store, const struct config *config,
                               const struct session_id *id,
                               const struct lease_identity *identity, int64_t *renew)
{
    struct local *l = local_of(store);
    struct shard *shard = shard_of(l, id);
    struct session *expired = NULL;
    enum lease_verdict verdict = LEASE_NONE;
    pthread_mutex_lock(&shard->lock);
    int64_t now = moment_now();
    struct session *s = shard_find_locked(shard, id);
    if (s != NULL)
        verdict = lease_admit(&s->lease, config, identity, now, renew);
    if (verdict == LEASE_GOOD)
        shard_touch_locked(shard, s, now);
    else if (verdict == LEASE_EXPIRED)
        expired = shard_remove_locked(shard, id);
    pthread_mutex_unlock(&shard->lock);
    discard(l, expired);
    return verdict;
}

static struct session *take_out(struct local *l, const struct session_id *id)
{
    struct shard *shard = shard_of(l, id);
    pthread_mutex_lock(&shard->lock);
    struct session *s = shard_remove_locked(shard, id);
    pthread_mutex_unlock(&shard->lock);
    return s;
}

static void put_in(struct local *l, struct session *s)
{
    struct shard *shard = shard_of(l, &s->id);
    pthread_mutex_lock(&shard->lock);
    shard_insert_locked(shard, s);
    pthread_mutex_unlock(&shard->lock);
}

static bool create(struct session_store *store, const struct config *config,
                   const struct session_id *id, const struct lease_identity *identity)
{
    struct local *l = local_of(store);
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return false;
    s->id = *id;
    s->lease = lease_begin(identity);
    make_room(l, config);
    put_in(l, s);
    return true;
}

static bool rename_session(struct session_store *store, const struct session_id *id,
                           const struct session_id *new_id, int64_t *age)
{
    struct local *l = local_of(store);
    save_note_leaving(&l->save);
    struct session *s = take_out(l, id);
    if (s != NULL) {
        s->id = *new_id;
        s->lease.used = s->lease.cookie = moment_now();
        *age = s->lease.used - s->lease.created;
        put_in(l, s);
    }
    save_note_arrival(&l->save);
    return s != NULL;
}

static bool delete (struct session_store *store, const struct session_id *id)
{
    struct local *l = local_of(store);
    struct session *s = take_out(l, id);
    bool found = s != NULL;
    discard(l, s);
    return found;
}

/* -- A session's data -- */

/* Locks the session's shard, which the caller unlocks whatever is returned. The session
 * is touched; NULL: it is gone. */
static struct session *lock_session(struct session_store *store,
                                    const struct session_id *id, struct shard **shard)
{
    int64_t now = moment_now();
    *shard = shard_of(local_of(store), id);
    pthread_mutex_lock(&(*shard)->lock);
    struct session *s = shard_find_locked(*shard, id);
    if (s != NULL)
        shard_touch_locked(*shard, s, now);
    return s;
}

static enum realm_result set(struct session_store *store, const struct config *config,
                             const struct session_id *id, struct bytes realm,
                             struct bytes name, struct bytes value)
{
    struct variable *v = realm_variable_create(name, value);
    if (v == NULL)
        return REALM_NO_MEMORY;
    struct shard *shard;
    struct session *s = lock_session(store, id, &shard);
    enum realm_result result = REALM_ABSENT;
    if (s != NULL)
        result = realms_set(&s->data, realm, v, config->session_max_size);
    shard->changed |= result == REALM_OK;
    /* Still under the lock, as realms of the session own it too. */
    realm_variable_drop(v);
    pthread_mutex_unlock(&shard->lock);
    return result;
}

static bool unset(struct session_store *store, const struct session_id *id,
                  struct bytes realm, struct bytes name)
{
    struct shard *shard;
    struct session *s = lock_session(store, id, &shard);
    if (s != NULL) {
        realms_unset(&s->data, realm, name);
        shard->changed = true;
    }
    pthread_mutex_unlock(&shard->lock);
    return s != NULL;
}

static size_t copy(struct session_store *store, const struct session_id *id,
                   struct bytes realm, struct bytes name, void *data, size_t room)
{
    struct shard *shard;
    struct session *s = lock_session(store, id, &shard);
    const struct variable *v = s != NULL ? realms_get(&s->data, realm, name) : NULL;
    size_t len = v != NULL ? v->value_len : SIZE_MAX;
    if (v != NULL && len > 0 && len <= room)
        memcpy(data, realm_variable_value(v).data, len);
    pthread_mutex_unlock(&shard->lock);
    return len;
}

static bool has_realm(struct session_store *store, const struct session_id *id,
                      struct bytes realm)
{
    struct shard *shard;
    struct session *s = lock_session(store, id, &shard);
    bool has = s != NULL && realms_has(&s->data, realm);
    pthread_mutex_unlock(&shard->lock);
    return has;
}

static bool clear(struct session_store *store, const struct session_id *id,
                  struct bytes realm)
{
    struct realms removed = {0};
    struct shard *shard;
    struct session *s = lock_session(store, id, &shard);
    bool ok = s != NULL && realms_remove(&s->data, realm, &removed);
    shard->changed |= ok;
    pthread_mutex_unlock(&shard->lock);
    realms_free(&removed);
    return ok;
}

/* -- SessionFile -- */

static bool save(struct session_store *s, const struct config *config)
{
    return save_now(&local_of(s)->save, config);
}

static bool autosave(struct session_store *s, const struct config *config)
{
    return save_if_due(&local_of(s)->save, config);
}

static void free_sessions(struct local *l)
{
    for (int i = 0; i < SHARDS; i++) {
        struct shard *shard = &l->shards[i];
        struct session *s;
        while ((s = shard_oldest_locked(shard)) != NULL)
            discard(l, shard_remove_locked(shard, &s->id));
    }
}

struct load {
    struct local *local;
    const struct config *config;
};

/* There are no other threads yet: no lock is needed. */
static void put_loaded(struct session *s, void *arg)
{
    const struct load *load = arg;
    struct local *l = load->local;
    struct shard *shard = shard_of(l, &s->id);
    if (lease_is_expired(&s->lease, load->config, moment_now()) ||
        shard_find_locked(shard, &s->id) != NULL) {
        free_session(s);
        return;
    }
    shard_insert_locked(shard, s);
    atomic_fetch_add(&l->count, 1);
    if (is_over(l, load->config))
        evict(l);
}

static void load_file(struct local *l, const struct config *config)
{
    struct load load = {l, config};
    if (!save_load(config, l->store.secret, put_loaded, &load)) {
        free_sessions(l);
        return;
    }
    log_info("SessionFile %s: %zu sessions", config->session_file, count(&l->store));
}

/* -- The store -- */

static void destroy(struct session_store *s)
{
    struct local *l = local_of(s);
    free_sessions(l);
    for (int i = 0; i < SHARDS; i++)
        shard_destroy(&l->shards[i]);
    free(l);
}

static const struct store_operations operations = {
    .destroy = destroy,
    .tick = tick,
    .save = save,
    .autosave = autosave,
    .count = count,
    .evictions = evictions,
    .find = find,
    .create = create,
    .rename = rename_session,
    .delete = delete,
    .set = set,
    .unset = unset,
    .copy = copy,
    .has_realm = has_realm,
    .clear = clear,
};

static int create_shards(struct local *l)
{
    for (int i = 0; i < SHARDS; i++) {
        int error = shard_init(&l->shards[i]);
        if (error == 0)
            continue;
        while (i-- > 0)
            shard_destroy(&l->shards[i]);
        return error;
    }
    return 0;
}

static struct local *allocate(void)
{
    void *memory;
    int error = posix_memalign(&memory, _Alignof(struct local), sizeof(struct local));
    if (error != 0) {
        errno = error;
        return NULL;
    }
    return memset(memory, 0, sizeof(struct local));
}

struct session_store *local_create(const struct config *config)
{
    struct local *l = allocate();
    if (l == NULL)
        return NULL;
    l->store.operations = &operations;
    l->save.shards = l->shards;
    l->save.shard_count = SHARDS;
    l->save.secret = l->store.secret;
    int error = 0;
    if (!random_bytes(l->store.secret, sizeof l->store.secret))
        error = errno;
    else
        error = create_shards(l);
    if (error != 0) {
        free(l);
        errno = error;
        return NULL;
    }
    save_init(&l->save);
    if (config->session_file[0] != '\0')
        load_file(l, config);
    return &l->store;
}
