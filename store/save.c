/* Saving and loading of the sessions in shards.
 *
 * Main loads while there are no other threads; the saver saves while workers use the
 * sessions. A shard's lock guards its sessions, and is held for no longer than it takes
 * to copy a few dozen of them; none is held while the file is written. */
#include "store/save.h"

#include "base/log.h"
#include "store/file.h"
#include "store/moment.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BATCH_SESSIONS   16              /* looked at while a lock is held, at most */
#define BATCH_BYTES      ((size_t)32768) /* copied while a lock is held, or one session */
#define SAVE_PASSES      32
#define SAVE_USE_PERIOD  300000 /* ms from a mere use to its writing */
#define SAVE_TOLD_PERIOD 60000  /* ms between two words of a failure that lasts */
#ifndef SAVE_PERIOD
#define SAVE_PERIOD 10000 /* the same from a change of data */
#endif
#ifndef SAVE_SHARE
#define SAVE_SHARE 100 /* at most a hundredth of the time is spent on writing */
#endif

/* -- Reading -- */

struct load {
    const struct session_head *head;
    int64_t now;
    void (*put)(struct session *s, void *arg);
    void *arg;
};

/* How long the daemon was away. A wall clock that is behind the file's, as on a Pi that
 * has not asked for the time yet, says nothing. */
static int64_t away(const struct session_head *head)
{
    int64_t wall = moment_wall();
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
    s->lease = (struct lease){
        .created = then - record->age,
        .used = then - record->idle,
        .cookie = then - record->age, /* the file does not say when */
        .identity = {record->client[0], record->client[1], record->client[2]}};
    s->data = record->data;
    record->data = (struct realms){0};
    load->put(s, load->arg);
    return true;
}

bool save_load(const struct config *config, unsigned char *secret,
               void (*put)(struct session *s, void *arg), void *arg)
{
    struct session_head head;
    struct load load = {&head, moment_now(), put, arg};
    if (!file_read(config->session_file, &head, load_record, &load))
        return false;
    memcpy(secret, head.secret, sizeof head.secret);
    return true;
}

/* -- Copying, with the lock of a shard held for a batch at a time -- */

static struct session_record record_of(const struct session *s, int64_t now)
{
    const struct lease *l = &s->lease;
    struct session_record r = {
        .age = now > l->created ? now - l->created : 0,
        .idle = now > l->used ? now - l->used : 0,
        .client = {l->identity.address, l->identity.user_agent, l->identity.language},
        .data = s->data};
    memcpy(r.id, s->id.hash, sizeof r.id);
    return r;
}

/* Copies a batch of the sessions that follow the cursor and that this save has not copied
 * yet, as far as there is room in `out`. Returns how many. If a session is too large for
 * an empty `out`, `*need` becomes the room for it, else 0. */
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

static bool copy_shard(struct save *save, struct shard *shard, struct session_writer *w,
                       struct buffer *out)
{
    size_t need = BATCH_BYTES;
    pthread_mutex_lock(&shard->lock);
    shard->cursor[SHARD_CURSOR_SAVE] = shard_oldest_locked(shard);
    pthread_mutex_unlock(&shard->lock);
    for (bool more = true; more;) {
        buffer_clear(out, SIZE_MAX);
        if (!buffer_reserve(out, need))
            return false;
        int64_t now = moment_now();
        pthread_mutex_lock(&shard->lock);
        uint32_t copied = copy_locked(shard, save->round, now, out, &need);
        more = shard->cursor[SHARD_CURSOR_SAVE] != NULL;
        pthread_mutex_unlock(&shard->lock);
        if (!file_append(w, out, copied))
            return false;
    }
    return true;
}

/* Waits for a moment in which every session is in a shard, for at most 10 ms. */
static bool all_at_rest(const struct save *save)
{
    const struct timespec nap = {.tv_nsec = 100000};
    for (int i = 0; i < 100 && atomic_load(&save->moving) > 0; i++)
        nanosleep(&nap, NULL);
    return atomic_load(&save->moving) == 0;
}

/* A session that gets a new key may go from a shard that is still to be copied to one
 * that was copied already. So each pass during which a session moved is followed by
 * another, which copies what this save does not have yet. */
static bool copy_shards(struct save *save, struct session_writer *w)
{
    struct buffer out = {0};
    bool ok = true, again = true;
    for (int pass = 0; ok && again && pass < SAVE_PASSES; pass++) {
        unsigned moves = atomic_load(&save->moves); /* before the look at who moves */
        again = !all_at_rest(save);
        for (int i = 0; ok && i < save->shard_count; i++)
            ok = copy_shard(save, &save->shards[i], w, &out);
        again = again || atomic_load(&save->moves) != moves;
    }
    buffer_free(&out);
    return ok;
}

/* -- Saving -- */

/* What changes from here on is for the next save. */
static void start_round(struct save *save)
{
    if (++save->round == 0) /* 0 means: in no save yet */
        save->round = 1;
    for (int i = 0; i < save->shard_count; i++) {
        struct shard *shard = &save->shards[i];
        pthread_mutex_lock(&shard->lock);
        shard->changed = shard->touched = false;
        pthread_mutex_unlock(&shard->lock);
    }
}

static bool write_file(struct save *save, const char *path)
{
    struct session_writer w;
    struct session_head head = {.wall = moment_wall()};
    memcpy(head.secret, save->secret, sizeof head.secret);
    bool ok = file_begin(&w, path, &head) && copy_shards(save, &w) && file_commit(&w);
    if (!ok)
        file_abort(&w);
    return ok;
}

/* A failure that lasts is told of again: the log may be on the same full disk. */
static void report(struct save *save, const struct config *config, bool ok, bool again)
{
    bool told = again && save->failed && moment_now() - save->told_at < SAVE_TOLD_PERIOD;
    if (!ok && !told) {
        log_error("SessionFile %s cannot be written: %s", config->session_file,
                  errno == EEXIST ? "there is something else than a file"
                                  : strerror(errno));
        save->told_at = moment_now();
    } else if (ok && save->failed)
        log_info("SessionFile %s is written again", config->session_file);
}

/* `again`: the same failure may have been logged already. */
static bool write_and_report(struct save *save, const struct config *config, bool again)
{
    if (config->session_file[0] == '\0')
        return true;
    if (atomic_flag_test_and_set(&save->saving)) {
        log_error("SessionFile %s: it is being written already", config->session_file);
        return false;
    }
    int64_t begun = moment_now();
    start_round(save);
    bool ok = write_file(save, config->session_file);
    report(save, config, ok, again);
    save->failed = !ok;
    save->saved_at = moment_now();
    save->took = save->saved_at - begun;
    atomic_flag_clear(&save->saving);
    return ok;
}

bool save_now(struct save *save, const struct config *config)
{
    return write_and_report(save, config, false);
}

bool save_if_due(struct save *save, const struct config *config)
{
    bool changed = save->failed, touched = false;
    if (config->session_file[0] == '\0')
        return false;
    for (int i = 0; i < save->shard_count; i++) {
        struct shard *shard = &save->shards[i];
        pthread_mutex_lock(&shard->lock);
        changed |= shard->changed;
        touched |= shard->touched;
        pthread_mutex_unlock(&shard->lock);
    }
    int64_t period = changed ? SAVE_PERIOD : SAVE_USE_PERIOD;
    if (period < save->took * SAVE_SHARE)
        period = save->took * SAVE_SHARE;
    bool due = (changed || touched) && moment_now() - save->saved_at >= period;
    if (due)
        write_and_report(save, config, true);
    return due;
}

void save_init(struct save *save)
{
    atomic_flag_clear(&save->saving);
    save->saved_at = moment_now();
}

void save_note_leaving(struct save *save)
{
    atomic_fetch_add(&save->moving, 1);
    atomic_fetch_add(&save->moves, 1);
}

void save_note_arrival(struct save *save)
{
    atomic_fetch_sub(&save->moving, 1);
}
