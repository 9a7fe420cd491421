/* The store of sessions: its life, its bounds, and SessionFile.
 *
 * Main creates and destroys it while there are no other threads; the heartbeat sweeps,
 * the saver saves; workers come from store/session.c.
 *
 * The store is SESSION_SHARDS shards, and a session belongs to the one that its key's
 * hash says. A shard's lock guards all that is in it. It is a leaf, a thread holds one at
 * a time, and for no longer than it takes to look at, or copy, a few dozen sessions:
 * memory is asked for before, and what is large is freed after. A session that is in no
 * shard belongs to the thread that took it out. */
#include "store/store.h"

#include "base/log.h"
#include "base/random.h"
#include "store/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SWEEP_CYCLE     32              /* sweeps that see every session once */
#define BATCH_SESSIONS  16              /* looked at while a lock is held, at most */
#define BATCH_BYTES     ((size_t)32768) /* copied while a lock is held, or one session */
#define EVICT_BATCH     256             /* evicted by one sweep, at most */
#define SAVE_PASSES     32
#define SAVE_USE_PERIOD 300000 /* ms from a mere use to its writing */
#ifndef SAVE_PERIOD
#define SAVE_PERIOD 10000 /* the same from a change of data */
#endif
#ifndef SAVE_SHARE
#define SAVE_SHARE 100 /* at most a hundredth of the time is spent on writing */
#endif

_Static_assert(sizeof(struct session_id) == SHA256_SIZE, "an id is a hash");

/* -- Time -- */

static int64_t milliseconds(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Where there is one, a clock that counts the time that the machine slept. */
static int64_t system_monotonic(void)
{
#ifdef CLOCK_BOOTTIME
    return milliseconds(CLOCK_BOOTTIME);
#else
    return milliseconds(CLOCK_MONOTONIC);
#endif
}

static int64_t system_wall(void)
{
    return milliseconds(CLOCK_REALTIME);
}

static int64_t (*monotonic_now)(void) = system_monotonic;
static int64_t (*wall_now)(void) = system_wall;

int64_t store_now(void)
{
    return monotonic_now();
}

void store_set_clocks(int64_t (*monotonic)(void), int64_t (*wall)(void))
{
    monotonic_now = monotonic != NULL ? monotonic : system_monotonic;
    wall_now = wall != NULL ? wall : system_wall;
}

/* -- Room -- */

bool store_is_expired(const struct session *s, const struct config *config, int64_t now)
{
    return (config->session_time > 0 && now - s->used >= config->session_time) ||
           (config->session_max_age > 0 && now - s->created >= config->session_max_age);
}

/* A session that no shard has; NULL is allowed. */
static void free_session(struct session *s)
{
    if (s == NULL)
        return;
    realms_free(&s->data);
    free(s);
}

void store_discard(struct session_store *store, struct session *s)
{
    if (s != NULL)
        atomic_fetch_sub(&store->count, 1);
    free_session(s);
}

struct shard *store_shard(struct session_store *s, const struct session_id *id)
{
    return &s->shards[id->hash[SHA256_SIZE - 1] % SESSION_SHARDS];
}

/* When the longest idle session of the shard was used; INT64_MAX: there is none. */
static int64_t oldest_use(struct shard *shard)
{
    pthread_mutex_lock(&shard->lock);
    struct session *s = shard_oldest_locked(shard);
    int64_t used = s != NULL ? s->used : INT64_MAX;
    pthread_mutex_unlock(&shard->lock);
    return used;
}

/* The longest idle of all, unless another thread uses sessions between the look and the
 * grip: then one that nearly is. false: there is none. */
static bool evict(struct session_store *store)
{
    struct shard *shard = NULL;
    int64_t oldest = INT64_MAX;
    for (int i = 0; i < SESSION_SHARDS; i++) {
        int64_t used = oldest_use(&store->shards[i]);
        if (used < oldest) {
            oldest = used;
            shard = &store->shards[i];
        }
    }
    if (shard == NULL)
        return false;
    pthread_mutex_lock(&shard->lock);
    struct session *s = shard_oldest_locked(shard);
    if (s != NULL)
        shard_remove_locked(shard, &s->id);
    pthread_mutex_unlock(&shard->lock);
    store_discard(store, s);
    return true;
}

static bool is_over(struct session_store *store, const struct config *config)
{
    return config->session_max_count > 0 &&
           atomic_load(&store->count) > (size_t)config->session_max_count;
}

void store_make_room(struct session_store *s, const struct config *config)
{
    /* Counted before it is there to be found: it is never evicted for its own sake. */
    atomic_fetch_add(&s->count, 1);
    while (is_over(s, config) && evict(s))
        continue;
}

/* Looks at `count` sessions where the last walk ended, or up to the end of the list, and
 * moves what has expired to the list `expired`. */
static void sweep_locked(struct shard *shard, const struct config *config, int64_t now,
                         size_t count, struct link *expired)
{
    struct session *s = shard->cursor[SHARD_CURSOR_SWEEP];
    if (s == NULL)
        s = shard_oldest_locked(shard);
    while (s != NULL && count-- > 0) {
        struct session *newer = shard_newer_locked(shard, s);
        if (store_is_expired(s, config, now)) {
            shard_remove_locked(shard, &s->id);
            list_append(expired, &s->by_use);
        }
        s = newer;
    }
    shard->cursor[SHARD_CURSOR_SWEEP] = s;
}

static void discard_all(struct session_store *store, struct link *list)
{
    while (!list_is_empty(list)) {
        struct link *first = list->next;
        list_remove(first);
        store_discard(store, CONTAINER(struct session, by_use, first));
    }
}

static void sweep_shard(struct session_store *store, struct shard *shard,
                        const struct config *config)
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
        sweep_locked(shard, config, store_now(), batch, &expired);
        bool end = shard->cursor[SHARD_CURSOR_SWEEP] == NULL;
        pthread_mutex_unlock(&shard->lock);
        discard_all(store, &expired);
        left = end ? 0 : left - batch;
        first = false;
    }
}

void store_sweep(struct session_store *s, const struct config *config)
{
    for (int i = 0; i < SESSION_SHARDS; i++)
        sweep_shard(s, &s->shards[i], config);
    for (int i = 0; i < EVICT_BATCH && is_over(s, config) && evict(s); i++)
        continue;
}

size_t store_count(const struct session_store *s)
{
    return atomic_load(&s->count);
}

/* -- SessionFile -- */

struct load {
    struct session_store *store;
    const struct config *config;
    const struct session_head *head;
    int64_t now;
};

/* What was not counted while the daemon was away; a wall clock that is behind the file's,
 * as on a Pi that has not asked for the time yet, says nothing. */
static int64_t away(const struct session_head *head)
{
    int64_t wall = wall_now();
    return wall > head->wall ? wall - head->wall : 0;
}

static bool load_record(struct session_record *record, void *arg)
{
    const struct load *load = arg;
    struct session *s = calloc(1, sizeof *s);
    if (s == NULL)
        return false;
    int64_t then = load->now - away(load->head);
    memcpy(s->id.hash, record->id, sizeof s->id.hash);
    s->created = then - record->age;
    s->used = then - record->idle;
    s->cookie = s->created; /* when really, the file does not say */
    s->identity = (struct session_identity){record->client[0], record->client[1],
                                            record->client[2]};
    s->data = record->data;
    record->data = (struct realms){0};

    struct shard *shard = store_shard(load->store, &s->id);
    if (store_is_expired(s, load->config, load->now) ||
        shard_find_locked(shard, &s->id) != NULL) {
        free_session(s);
        return true;
    }
    shard_insert_locked(shard, s);
    atomic_fetch_add(&load->store->count, 1);
    if (is_over(load->store, load->config))
        evict(load->store);
    return true;
}

static void free_sessions(struct session_store *store)
{
    for (int i = 0; i < SESSION_SHARDS; i++) {
        struct shard *shard = &store->shards[i];
        struct session *s;
        while ((s = shard_oldest_locked(shard)) != NULL)
            store_discard(store, shard_remove_locked(shard, &s->id));
    }
}

static void load_file(struct session_store *store, const struct config *config)
{
    struct session_head head;
    struct load load = {store, config, &head, store_now()};
    if (!file_read(config->session_file, &head, load_record, &load)) {
        free_sessions(store);
        return;
    }
    memcpy(store->secret, head.secret, sizeof store->secret);
    log_info("SessionFile %s: %zu sessions", config->session_file, store_count(store));
}

static struct session_record record_of(const struct session *s, int64_t now)
{
    struct session_record r = {
        .age = now > s->created ? now - s->created : 0,
        .idle = now > s->used ? now - s->used : 0,
        .client = {s->identity.address, s->identity.user_agent, s->identity.language},
        .data = s->data};
    memcpy(r.id, s->id.hash, sizeof r.id);
    return r;
}

/* Copies a batch of what follows the cursor and this save has not got yet, as far as
 * there is room in `out`. Returns how many; `*need` is the room for a session that is too
 * large for an empty `out`, or 0. */
static uint32_t copy_locked(struct shard *shard, unsigned round, int64_t now,
                            struct buffer *out, size_t *need)
{
    uint32_t copied = 0;
    struct session *s = shard->cursor[SHARD_CURSOR_SAVE];
    *need = 0;
    for (int i = 0; i < BATCH_SESSIONS && s != NULL && out->len < BATCH_BYTES;
         i++, s = shard_newer_locked(shard, s)) {
        if (s->saved == round)
            continue;
        struct session_record record = record_of(s, now);
        size_t room = file_record_room(&record);
        if (room > out->cap - out->len) {
            *need = out->len == 0 ? room : 0;
            break;
        }
        file_record_put(&record, out);
        s->saved = round;
        copied++;
    }
    shard->cursor[SHARD_CURSOR_SAVE] = s;
    return copied;
}

static bool save_shard(struct session_store *store, struct shard *shard,
                       struct session_writer *w, struct buffer *out)
{
    size_t need = BATCH_BYTES;
    pthread_mutex_lock(&shard->lock);
    shard->cursor[SHARD_CURSOR_SAVE] = shard_oldest_locked(shard);
    pthread_mutex_unlock(&shard->lock);
    for (bool more = true; more;) {
        buffer_clear(out, SIZE_MAX);
        if (!buffer_reserve(out, need))
            return false;
        int64_t now = store_now();
        pthread_mutex_lock(&shard->lock);
        uint32_t copied = copy_locked(shard, store->round, now, out, &need);
        more = shard->cursor[SHARD_CURSOR_SAVE] != NULL;
        pthread_mutex_unlock(&shard->lock);
        if (!file_append(w, out, copied))
            return false;
    }
    return true;
}

/* Whether every session is in a shard; after 10 ms without such a moment, not. */
static bool all_at_rest(const struct session_store *store)
{
    const struct timespec nap = {.tv_nsec = 100000};
    for (int i = 0; i < 100 && atomic_load(&store->moving) > 0; i++)
        nanosleep(&nap, NULL);
    return atomic_load(&store->moving) == 0;
}

/* A session that gets a new key may go from a shard that is still to be saved to one that
 * was saved already. So after a pass during which any did comes another, for what this
 * save has not got yet. */
static bool save_shards(struct session_store *store, struct session_writer *w)
{
    struct buffer out = {0};
    bool ok = true, again = true;
    for (int pass = 0; ok && again && pass < SAVE_PASSES; pass++) {
        unsigned moves = atomic_load(&store->moves); /* before the look at who moves */
        again = !all_at_rest(store);
        for (int i = 0; ok && i < SESSION_SHARDS; i++)
            ok = save_shard(store, &store->shards[i], w, &out);
        again = again || atomic_load(&store->moves) != moves;
    }
    buffer_free(&out);
    return ok;
}

/* What changes from here on is for the next save. */
static void start_round(struct session_store *store)
{
    if (++store->round == 0) /* 0 is what no save has */
        store->round = 1;
    for (int i = 0; i < SESSION_SHARDS; i++) {
        struct shard *shard = &store->shards[i];
        pthread_mutex_lock(&shard->lock);
        shard->changed = shard->touched = false;
        pthread_mutex_unlock(&shard->lock);
    }
}

static bool write_file(struct session_store *store, const char *path)
{
    struct session_writer w;
    struct session_head head = {.wall = wall_now()};
    memcpy(head.secret, store->secret, sizeof head.secret);
    bool ok = file_begin(&w, path, &head) && save_shards(store, &w) && file_commit(&w);
    if (!ok)
        file_abort(&w);
    return ok;
}

/* `again`: the same failure may have been logged already. */
static bool save(struct session_store *store, const struct config *config, bool again)
{
    if (config->session_file[0] == '\0')
        return true;
    if (atomic_flag_test_and_set(&store->saving)) {
        log_error("SessionFile %s: it is being written already", config->session_file);
        return false;
    }
    int64_t begun = store_now();
    start_round(store);
    bool ok = write_file(store, config->session_file);
    if (!ok && !(again && store->save_failed))
        log_error("SessionFile %s cannot be written: %s", config->session_file,
                  errno == EEXIST ? "there is something else than a file"
                                  : strerror(errno));
    else if (ok && store->save_failed)
        log_info("SessionFile %s is written again", config->session_file);
    store->save_failed = !ok;
    store->saved_at = store_now();
    store->save_took = store->saved_at - begun;
    atomic_flag_clear(&store->saving);
    return ok;
}

bool store_save(struct session_store *s, const struct config *config)
{
    return save(s, config, false);
}

void store_autosave(struct session_store *s, const struct config *config)
{
    bool changed = s->save_failed, touched = false;
    if (config->session_file[0] == '\0')
        return;
    for (int i = 0; i < SESSION_SHARDS; i++) {
        pthread_mutex_lock(&s->shards[i].lock);
        changed |= s->shards[i].changed;
        touched |= s->shards[i].touched;
        pthread_mutex_unlock(&s->shards[i].lock);
    }
    int64_t period = changed ? SAVE_PERIOD : SAVE_USE_PERIOD;
    if (period < s->save_took * SAVE_SHARE)
        period = s->save_took * SAVE_SHARE;
    if ((changed || touched) && store_now() - s->saved_at >= period)
        save(s, config, true);
}

/* -- The store -- */

static int create_shards(struct session_store *store)
{
    for (int i = 0; i < SESSION_SHARDS; i++) {
        int error = shard_init(&store->shards[i]);
        if (error == 0)
            continue;
        while (i-- > 0)
            shard_destroy(&store->shards[i]);
        return error;
    }
    return 0;
}

struct session_store *store_create(const struct config *config)
{
    void *memory;
    int error = posix_memalign(&memory, _Alignof(struct session_store),
                               sizeof(struct session_store));
    if (error != 0) {
        errno = error;
        return NULL;
    }
    struct session_store *store = memset(memory, 0, sizeof *store);
    atomic_flag_clear(&store->saving);
    if (!random_bytes(store->secret, sizeof store->secret))
        error = errno;
    else
        error = create_shards(store);
    if (error != 0) {
        free(store);
        errno = error;
        return NULL;
    }
    store->saved_at = store_now();
    if (config->session_file[0] != '\0')
        load_file(store, config);
    return store;
}

void store_destroy(struct session_store *s)
{
    if (s == NULL)
        return;
    free_sessions(s);
    for (int i = 0; i < SESSION_SHARDS; i++)
        shard_destroy(&s->shards[i]);
    free(s);
}
