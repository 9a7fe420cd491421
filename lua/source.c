/* The files that scripts are made of.
 *
 * Workers read files and hold references; the sweeper compares what it sees on disk
 * with what was read last. This room owns one process-wide table from path to struct
 * source, guarded by one lock, together with everything in a source but its version,
 * which is atomic. No file is opened, read or looked at while the lock is held.
 *
 * A source is either known (what was read last is what its newest references were read
 * from) or outdated: the sweeper saw that it changed or vanished, so nobody holds a
 * current reference, and whatever is read next is taken as it is. */
#include "lua/source.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/log.h"
#include "base/reserve.h"
#include "base/watch.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8,
               "large files and large inode numbers can be looked at");

enum {
    SIZE_LIMIT = 16 * 1024 * 1024, /* bytes of one file */
    READ_PATIENCE = 250,  /* pauses that one source_read may take, about a second; */
    MISSING_PATIENCE = 4, /* of them, for a file that is not there */
    SWEEP_PATIENCE = 10,  /* pauses that one sweep may take */
};

static const int64_t second = 1000000000;

/* The coarsest time stamps in use are FAT's, 2 s. */
static const int64_t racy_age = 2100000000;

/* Time stamps of common file systems advance with the kernel's tick, 10 ms at most. An
 * editor that truncates a file and writes it again is done well within that. */
static const int64_t fresh_age = 10000000;

/* But on a busy machine it may wait between the two. An empty script serves no purpose,
 * so one gets this long to be written. */
static const int64_t empty_age = 1000000000;
static const long pause_length = 4000000;

struct identity {
    dev_t dev;
    ino_t ino;
    int64_t size;
    int64_t mtime, ctime; /* ns since 1970 */
};

/* What a path led to. */
enum kind { FILE_READ, DIRECTORY, ABSENT };

struct look {
    enum kind kind;
    struct identity identity; /* of a file */
    uint64_t digest;          /* of the content; of a directory's device and inode */
    bool racy;      /* the times are so recent that they could hide another change */
    bool unsettled; /* it was being written, or had been a moment before */
};

struct source {
    struct hash_link in_table; /* lock */
    struct link all;           /* lock */
    char *path;                /* immutable */
    size_t refs;               /* lock */
    atomic_uint version;       /* atomic; written with the lock held */
    struct look known;         /* lock */
    bool outdated;             /* lock */
};

/* A sweeper's look at a file, while it lasts. */
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

/* FNV-1a: good enough to tell versions of a file apart, in three lines. */
static uint64_t digest(const char *data, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
    return h;
}

/* Unsigned, because a file system may hold years that do not fit. */
static int64_t nanoseconds(const struct timespec *t)
{
    return (int64_t)((uint64_t)t->tv_sec * (uint64_t)second + (uint64_t)t->tv_nsec);
}

/* File times are wall clock times, so they are compared with that. */
static int64_t wall_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return nanoseconds(&now);
}

static void take_a_pause(void)
{
    struct timespec t = {0, pause_length};
    nanosleep(&t, NULL);
}

static struct identity identify(const struct stat *st)
{
    return (struct identity){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = st->st_size,
        .mtime = nanoseconds(&st->st_mtim),
        .ctime = nanoseconds(&st->st_ctim),
    };
}

static bool identical(const struct identity *a, const struct identity *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime == b->mtime && a->ctime == b->ctime;
}

static int64_t newest_time(const struct identity *i)
{
    return i->mtime > i->ctime ? i->mtime : i->ctime;
}

/* Where an open file is, every link resolved, into `resolved` (PATH_MAX bytes). The
 * kernel knows for a descriptor. Where it cannot be asked, the resolved path counts only
 * if the opened file is what is found there. */
static bool resolve(int fd, const char *path, const struct stat *st, char *resolved)
{
#ifdef __linux__
    char link[sizeof "/proc/self/fd/" + 3 * sizeof fd];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, resolved, PATH_MAX);
    if (n > 0 && n < PATH_MAX && resolved[0] == '/') {
        resolved[n] = '\0';
        return true;
    }
#else
    (void)fd;
#endif
    struct stat there;
    return realpath(path, resolved) != NULL && lstat(resolved, &there) == 0 &&
           there.st_dev == st->st_dev && there.st_ino == st->st_ino;
}

static bool is_inside(const char *resolved, const char *root)
{
    size_t len = strlen(root);
    while (len > 0 && root[len - 1] == '/')
        len--;
    return strncmp(resolved, root, len) == 0 && resolved[len] == '/';
}

/* The root is resolved at each use: it may be a link that leads to another directory
 * since the last. */
static int check_place(int fd, const char *path, const char *root, const struct stat *st)
{
    if (root == NULL || *root == '\0')
        return 0;
    char *resolved = malloc(PATH_MAX), *resolved_root = realpath(root, NULL);
    int error = resolved == NULL        ? ENOMEM
                : resolved_root == NULL ? EACCES
                : !resolve(fd, path, st, resolved) || !is_inside(resolved, resolved_root)
                    ? EACCES
                    : 0;
    free(resolved_root);
    free(resolved);
    return error;
}

/* One more byte than expected, so that the end is seen without growing the buffer. */
static int read_all(int fd, int64_t expected, struct buffer *text)
{
    size_t start = text->len;
    size_t room = (size_t)expected + 1;
    for (;;) {
        if (!buffer_reserve(text, room))
            return ENOMEM;
        ssize_t n = read(fd, text->data + text->len, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        if (n == 0)
            return 0;
        text->len += (size_t)n;
        if (text->len - start > SIZE_LIMIT)
            return EFBIG;
        room = room > (size_t)n ? room - (size_t)n : 16384;
    }
}

static int check_kind(const struct stat *st)
{
    if (S_ISDIR(st->st_mode))
        return EISDIR;
    if (!S_ISREG(st->st_mode))
        return EACCES;
    return st->st_size > SIZE_LIMIT ? EFBIG : 0;
}

/* Whether a file of that identity may still be written to. */
static bool is_fresh(const struct identity *i, int64_t now)
{
    int64_t age = now - newest_time(i);
    return age >= -fresh_age && age < (i->size == 0 ? empty_age : fresh_age);
}

static int read_opened(int fd, const char *path, const char *root, struct look *look,
                       struct buffer *text)
{
    struct stat before, after;
    if (fstat(fd, &before) != 0)
        return errno;
    int error = check_kind(&before);
    if (error == 0)
        error = check_place(fd, path, root, &before);
    if (error != 0)
        return error;
    /* Taken before the content: a change during the reading must not look old. */
    int64_t now = wall_clock();
    size_t start = text->len;
    error = read_all(fd, before.st_size, text);
    if (error != 0)
        return error;
    if (fstat(fd, &after) != 0)
        return errno;
    struct identity first = identify(&before);
    look->identity = identify(&after);
    look->digest = digest(text->data + start, text->len - start);
    int64_t age = now - newest_time(&look->identity);
    /* A torn content belongs to no time stamp, however old. */
    bool torn = !identical(&first, &look->identity);
    look->racy = torn || age < racy_age;
    look->unsettled = torn || is_fresh(&look->identity, now);
    return 0;
}

static int read_once(const char *path, const char *root, struct look *look,
                     struct buffer *text)
{
    int fd = reserve_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return errno == ENXIO ? EACCES : errno; /* a socket */
    int error = read_opened(fd, path, root, look, text);
    reserve_close(fd);
    return error;
}

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

/* A script may look for modules whose names a client chose. */
static uint32_t hash_path(const char *path)
{
    return hash_bytes(path, strlen(path));
}

/* Whether a file was there before. */
static bool is_known(const char *path)
{
    uint32_t hash = hash_path(path);
    pthread_mutex_lock(&table.lock);
    struct source *s = find_locked(path, hash);
    bool known = s != NULL && s->known.kind == FILE_READ;
    pthread_mutex_unlock(&table.lock);
    return known;
}

/* Reads the file at `path` as it is when nobody is writing it. Many editors truncate and
 * write, or remove and create, and a request must not fail because it came in between:
 * such a file, and a missing one that was there before, gets a few milliseconds, as
 * often as `patience` allows. The path is opened anew each time, as another file may
 * have been renamed to it. On failure `text` is as it was. */
static int read_settled(const char *path, const char *root, int *patience,
                        struct look *look, struct buffer *text)
{
    size_t start = text->len;
    for (int pauses = 0;; pauses++, --*patience) {
        int error = read_once(path, root, look, text);
        bool again = error == 0
                         ? look->unsettled
                         : error == ENOENT && pauses < MISSING_PATIENCE && is_known(path);
        if (error != 0)
            text->len = start;
        if (!again || *patience <= 0)
            return error;
        text->len = start;
        take_a_pause();
    }
}

static struct source *source_new(const char *path, const struct look *look)
{
    struct source *s = calloc(1, sizeof *s);
    if (s == NULL || (s->path = strdup(path)) == NULL) {
        free(s);
        return NULL;
    }
    s->known = *look;
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

/* The version first: who sees the new epoch must see what it stands for. */
static void bump_locked(struct source *s)
{
    atomic_fetch_add(&s->version, 1);
    atomic_fetch_add(&epoch, 1);
}

/* A worker read the file. Other times over the same content are left to the sweep, which
 * knows whether they count. */
static void learn_locked(struct source *s, const struct look *look)
{
    if (!s->outdated && s->known.kind == look->kind && s->known.digest == look->digest) {
        if (identical(&s->known.identity, &look->identity))
            s->known.racy = look->racy;
        return;
    }
    if (!s->outdated)
        bump_locked(s);
    s->outdated = false;
    s->known = *look;
}

/* A reference to what was seen at `path`. 0 or ENOMEM. */
static int refer(const char *path, const struct look *look, struct source_ref *ref)
{
    struct source *spare = source_new(path, look);
    if (spare == NULL)
        return ENOMEM;
    uint32_t hash = hash_path(path);
    pthread_mutex_lock(&table.lock);
    struct source *s = find_locked(path, hash);
    if (s != NULL) {
        learn_locked(s, look);
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
    struct look look = {.kind = FILE_READ, .racy = true};
    size_t start = text->len;
    int patience = READ_PATIENCE;
    watch_set_name(path, true); /* a file system may not answer */
    int error = read_settled(path, root, &patience, &look, text);
    watch_set_name(NULL, false);
    if (error != 0)
        return error;
    error = refer(path, &look, ref);
    if (error != 0)
        text->len = start;
    return error;
}

static uint64_t digest_of_directory(const struct stat *st)
{
    const uint64_t numbers[] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
    return digest((const char *)numbers, sizeof numbers);
}

int source_note_directory(const char *path, const char *at, struct source_ref *ref)
{
    struct stat st;
    if (stat(at, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    struct look look = {
        .kind = DIRECTORY, .identity.dev = st.st_dev, .digest = digest_of_directory(&st)};
    return refer(path, &look, ref);
}

int source_note_absent(const char *path, struct source_ref *ref)
{
    struct look look = {.kind = ABSENT};
    return refer(path, &look, ref);
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

/* Troubles of ours, which say nothing about the file: look again next time. */
static bool is_transient(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

enum verdict { UNCHANGED, CHANGED, LOOKED_AGAIN };

/* A directory that is gone may be just being replaced; what was in it tells of itself. */
static enum verdict compare_directory(const char *path, const struct look *known)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return UNCHANGED;
    return digest_of_directory(&st) == known->digest ? UNCHANGED : CHANGED;
}

static enum verdict compare_absent(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? CHANGED : UNCHANGED;
}

static enum verdict compare(const char *path, const struct look *known, bool use_checksum,
                            int *patience, struct look *now)
{
    struct stat st;
    if (known->kind == DIRECTORY)
        return compare_directory(path, known);
    if (known->kind == ABSENT)
        return compare_absent(path);
    if (stat(path, &st) == 0) {
        struct identity seen = identify(&st);
        bool same = identical(&seen, &known->identity);
        if (same && !known->racy)
            return UNCHANGED;
        if (!same && !use_checksum && !is_fresh(&seen, wall_clock()))
            return CHANGED;
    } else if (is_transient(errno)) {
        return UNCHANGED;
    }
    struct buffer text = {0};
    int error = read_settled(path, "", patience, now, &text);
    buffer_free(&text);
    if (error != 0)
        return is_transient(error) ? UNCHANGED : CHANGED;
    if (now->unsettled)
        return UNCHANGED; /* so far: what was read last serves until this is whole */
    /* It can change between the two looks, too. */
    if (!use_checksum && !identical(&now->identity, &known->identity))
        return CHANGED;
    return now->digest == known->digest ? LOOKED_AGAIN : CHANGED;
}

/* false: somebody is looking at the same device. */
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

/* compare, under the eyes of the heartbeat. */
static enum verdict compare_watched(const char *path, const struct look *known,
                                    bool use_checksum, int *patience, struct look *now)
{
    int64_t begun = clock_nanoseconds();
    watch_begin(SOURCE_LOOK_TIME);
    watch_set_name(path, true);
    enum verdict verdict = compare(path, known, use_checksum, patience, now);
    watch_end();
    if (watch_was_stuck())
        log_warning("looking at %s took %d s", path,
                    (int)((clock_nanoseconds() - begun) / second));
    return verdict;
}

/* The caller holds a reference. If a worker read another content while we looked, what we
 * saw may be older than that: the next sweep decides. */
static bool sweep_one(struct source *s, bool use_checksum, int *patience)
{
    pthread_mutex_lock(&table.lock);
    struct look known = s->known;
    struct glance glance = {.dev = known.identity.dev};
    unsigned version = atomic_load(&s->version);
    bool looks = !s->outdated && begin_glance_locked(&glance);
    pthread_mutex_unlock(&table.lock);
    if (!looks)
        return false;
    struct look now = known;
    enum verdict verdict = compare_watched(s->path, &known, use_checksum, patience, &now);
    pthread_mutex_lock(&table.lock);
    end_glance_locked(&glance);
    bool ours = atomic_load(&s->version) == version && !s->outdated;
    if (ours && verdict == LOOKED_AGAIN)
        s->known = now;
    bool changed = ours && verdict == CHANGED;
    if (changed) {
        s->outdated = true;
        bump_locked(s);
    }
    pthread_mutex_unlock(&table.lock);
    if (changed)
        log_debug("%s has changed", s->path);
    return changed;
}

/* Every source, referenced. What comes in after the counting waits for the next sweep. */
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
    int patience = SWEEP_PATIENCE;
    unsigned changed = 0;
    for (size_t i = 0; i < count; i++) {
        if (!watch_was_stuck())
            changed += sweep_one(all[i], use_checksum, &patience);
        put(all[i]);
    }
    free(all);
    return changed;
}
