/* The files that scripts are made of.
 *
 * Workers read files and hold references. The sweeper compares what it sees on disk with
 * what was read last. One process-wide table holds all sources by their path. Its lock
 * guards everything in a source but its version, which is atomic. No file is opened, read
 * or looked at while the lock is held.
 *
 * A source is either known or outdated. It is known while what was read last is what its
 * newest references were read from. It is outdated once the sweeper saw that it changed
 * or vanished: then nobody holds a current reference, and what is read next becomes
 * known. */
#include "lua/source.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/watch.h"
#include "lua/fingerprint.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    READ_PAUSES = 250, /* that one source_read may wait: about a second */
    SWEEP_PAUSES = 10, /* that one sweep may wait */
};

struct source {
    struct hash_link in_table; /* lock */
    struct link all;           /* lock */
    char *path;                /* immutable */
    size_t refs;               /* lock */
    atomic_uint version;       /* atomic; written with the lock held */
    struct fingerprint known;  /* lock */
    bool outdated;             /* lock */
};

/* A sweeper's look at a file, as long as it takes. */
struct glance {
    struct glance *next;
    dev_t dev;
};

static struct {
    pthread_mutex_t lock;
    struct glance *glances;
    struct hash sources; /* by path */
    struct link all;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER, .all = {&table.all, &table.all}};

static atomic_uint epoch;

static struct source *find_locked(const char *path, uint32_t hash)
{
    for (struct hash_link *l = hash_find(&table.sources, hash); l != NULL;
         l = hash_next(l)) {
        struct source *s = CONTAINER(struct source, in_table, l);
        if (strcmp(s->path, path) == 0)
            return s;
    }
    return NULL;
}

/* With a secret: a script may look for modules whose names a client chose. */
static uint32_t hash_path(const char *path)
{
    return hash_bytes(path, strlen(path));
}

/* Whether a file was seen at `path` before. */
static bool is_known(const char *path)
{
    uint32_t hash = hash_path(path);
    pthread_mutex_lock(&table.lock);
    struct source *s = find_locked(path, hash);
    bool known = s != NULL && s->known.kind == FINGERPRINT_FILE;
    pthread_mutex_unlock(&table.lock);
    return known;
}

static struct source *source_new(const char *path, const struct fingerprint *print)
{
    struct source *s = calloc(1, sizeof *s);
    if (s == NULL || (s->path = strdup(path)) == NULL) {
        free(s);
        return NULL;
    }
    s->known = *print;
    atomic_init(&s->version, 1);
    return s;
}

static void source_free(struct source *s)
{
    if (s != NULL)
        free(s->path);
    free(s);
}

static void insert_locked(struct source *s, uint32_t hash)
{
    hash_insert(&table.sources, &s->in_table, hash);
    list_append(&table.all, &s->all);
}

static void remove_locked(struct source *s)
{
    hash_remove(&table.sources, &s->in_table);
    list_remove(&s->all);
}

/* The version changes first: whoever sees the new epoch must see the new version, too. */
static void bump_locked(struct source *s)
{
    atomic_fetch_add(&s->version, 1);
    atomic_fetch_add(&epoch, 1);
}

/* Takes in what a worker read. Newer times over the same content are left to the sweep,
 * which knows whether they count. */
static void learn_locked(struct source *s, const struct fingerprint *print)
{
    if (!s->outdated && fingerprint_same_content(&s->known, print)) {
        if (fingerprint_same_identity(&s->known, print))
            s->known.racy = print->racy;
        return;
    }
    if (!s->outdated)
        bump_locked(s);
    s->outdated = false;
    s->known = *print;
}

/* Makes `ref` a reference to what was seen at `path`. 0 or ENOMEM. */
static int refer(const char *path, const struct fingerprint *print,
                 struct source_ref *ref)
{
    struct source *spare = source_new(path, print);
    if (spare == NULL)
        return ENOMEM;
    uint32_t hash = hash_path(path);
    pthread_mutex_lock(&table.lock);
    struct source *s = find_locked(path, hash);
    if (s != NULL) {
        learn_locked(s, print);
    } else {
        s = spare;
        spare = NULL;
        insert_locked(s, hash);
    }
    s->refs++;
    *ref = (struct source_ref){s, atomic_load(&s->version)};
    pthread_mutex_unlock(&table.lock);
    source_free(spare);
    return 0;
}

int source_read(const char *path, const char *root, struct source_ref *ref,
                struct buffer *text)
{
    struct fingerprint print;
    struct fingerprint_patience patience = {READ_PAUSES, is_known};
    size_t start = text->len;
    watch_set_name(path, true); /* a file system may not answer */
    int error = fingerprint_read(path, root, &patience, &print, text);
    watch_set_name(NULL, false);
    if (error != 0)
        return error;
    error = refer(path, &print, ref);
    if (error != 0)
        text->len = start;
    return error;
}

int source_note_directory(const char *path, const char *at, struct source_ref *ref)
{
    struct fingerprint print;
    int error = fingerprint_directory(at, &print);
    return error != 0 ? error : refer(path, &print, ref);
}

int source_note_absent(const char *path, struct source_ref *ref)
{
    return refer(path, &(struct fingerprint){.kind = FINGERPRINT_ABSENT}, ref);
}

struct source_ref source_retain(const struct source_ref *ref)
{
    pthread_mutex_lock(&table.lock);
    ref->source->refs++;
    pthread_mutex_unlock(&table.lock);
    return *ref;
}

static void put(struct source *s)
{
    pthread_mutex_lock(&table.lock);
    bool last = --s->refs == 0;
    if (last)
        remove_locked(s);
    pthread_mutex_unlock(&table.lock);
    if (last)
        source_free(s);
}

void source_release(struct source_ref *ref)
{
    if (ref->source != NULL)
        put(ref->source);
    *ref = (struct source_ref){NULL, 0};
}

const char *source_path(const struct source_ref *ref)
{
    return ref->source->path;
}

bool source_is_current(const struct source_ref *ref)
{
    return atomic_load(&ref->source->version) == ref->version;
}

unsigned source_epoch(void)
{
    return atomic_load(&epoch);
}

size_t source_count(void)
{
    pthread_mutex_lock(&table.lock);
    size_t n = table.sources.count;
    pthread_mutex_unlock(&table.lock);
    return n;
}

/* false: another sweeper is looking at the same device. */
static bool begin_glance_locked(struct glance *g)
{
    for (const struct glance *other = table.glances; other != NULL; other = other->next)
        if (other->dev == g->dev)
            return false;
    g->next = table.glances;
    table.glances = g;
    return true;
}

static void end_glance_locked(struct glance *g)
{
    struct glance **at = &table.glances;
    while (*at != g)
        at = &(*at)->next;
    *at = g->next;
}

/* Compares while the heartbeat watches: a file system may not answer. */
static enum fingerprint_verdict compare(const char *path, const struct fingerprint *known,
                                        bool use_checksum,
                                        struct fingerprint_patience *patience,
                                        struct fingerprint *now)
{
    int64_t begun = clock_milliseconds();
    watch_begin(SOURCE_LOOK_TIME);
    watch_set_name(path, true);
    enum fingerprint_verdict verdict =
        fingerprint_compare(path, known, use_checksum, patience, now);
    watch_end();
    if (watch_was_stuck())
        log_warning("looking at %s took %d s", path,
                    (int)((clock_milliseconds() - begun) / 1000));
    return verdict;
}

/* Looks at one source, to which the caller holds a reference. A worker may have read
 * another content meanwhile, and what was seen here may be older than that: then the next
 * sweep decides. */
static bool sweep_one(struct source *s, bool use_checksum,
                      struct fingerprint_patience *patience)
{
    pthread_mutex_lock(&table.lock);
    struct fingerprint known = s->known;
    struct glance glance = {.dev = known.identity.dev};
    unsigned version = atomic_load(&s->version);
    bool looks = !s->outdated && begin_glance_locked(&glance);
    pthread_mutex_unlock(&table.lock);
    if (!looks)
        return false;
    struct fingerprint now = known;
    enum fingerprint_verdict verdict =
        compare(s->path, &known, use_checksum, patience, &now);
    pthread_mutex_lock(&table.lock);
    end_glance_locked(&glance);
    bool ours = atomic_load(&s->version) == version && !s->outdated;
    if (ours && verdict == FINGERPRINT_RENEWED)
        s->known = now;
    bool changed = ours && verdict == FINGERPRINT_CHANGED;
    if (changed) {
        s->outdated = true;
        bump_locked(s);
    }
    pthread_mutex_unlock(&table.lock);
    if (changed)
        log_debug("%s has changed", s->path);
    return changed;
}

/* An array of all sources, each with a reference, for the caller to free. What comes in
 * after the counting waits for the next sweep. */
static struct source **snapshot(size_t *count)
{
    size_t room = source_count();
    struct source **all = malloc((room + 1) * sizeof(struct source *));
    *count = 0;
    if (all == NULL)
        return NULL;
    pthread_mutex_lock(&table.lock);
    for (struct link *l = table.all.next; l != &table.all && *count < room; l = l->next) {
        struct source *s = CONTAINER(struct source, all, l);
        s->refs++;
        all[(*count)++] = s;
    }
    pthread_mutex_unlock(&table.lock);
    return all;
}

unsigned source_sweep(bool use_checksum)
{
    size_t count;
    struct source **all = snapshot(&count);
    struct fingerprint_patience patience = {SWEEP_PAUSES, is_known};
    unsigned changed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!watch_was_stuck())
            changed += sweep_one(all[i], use_checksum, &patience);
        put(all[i]);
    }
    free(all);
    return changed;
}
