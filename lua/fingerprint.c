/* Looking at files: reading one whole, and telling whether it is still the same. Runs in
 * the threads that read scripts and in those that look for edited ones; keeps nothing. */
#include "lua/fingerprint.h"

#include "base/reserve.h"
#include "lua/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(off_t) == 8,
               "large files and large inode numbers can be looked at");

enum {
    SIZE_LIMIT = 16 * 1024 * 1024, /* bytes of one file */
    MISSING_PAUSES = 4,            /* at most, for one file that is not there */
};

static const int64_t second = 1000000000;

/* A time stamp that old tells of every change: the coarsest in use, FAT's, are 2 s. */
static const int64_t racy_age = 2100000000;

/* A file written that recently may be half written. Time stamps of common file systems
 * advance with the kernel's tick, 10 ms at most, and an editor that truncates a file and
 * writes it again takes less than that. */
static const int64_t fresh_age = 10000000;

/* On a busy machine the editor may be held up between the two. An empty script serves no
 * purpose, so an empty file gets this long to be written. */
static const int64_t empty_age = 1000000000;

static const long pause_length = 4000000;

/* FNV-1a. It tells versions of a file apart; nobody gains by making two alike. */
static uint64_t digest(const char *data, size_t len)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < len; i++)
        h = (h ^ (unsigned char)data[i]) * UINT64_C(1099511628211);
    return h;
}

/* Computes unsigned, as a file system may have years that do not fit. */
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

static struct fingerprint_identity identify(const struct stat *st)
{
    return (struct fingerprint_identity){
        .dev = st->st_dev,
        .ino = st->st_ino,
        .size = st->st_size,
        .mtime = nanoseconds(&st->st_mtim),
        .ctime = nanoseconds(&st->st_ctim),
    };
}

static bool identical(const struct fingerprint_identity *a,
                      const struct fingerprint_identity *b)
{
    return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
           a->mtime == b->mtime && a->ctime == b->ctime;
}

static int64_t newest_time(const struct fingerprint_identity *i)
{
    return i->mtime > i->ctime ? i->mtime : i->ctime;
}

/* Asks for one byte more than expected, so that the end is seen before the buffer grows.
 */
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

/* Whether somebody may still be writing the file. */
static bool is_fresh(const struct fingerprint_identity *i, int64_t now)
{
    int64_t age = now - newest_time(i);
    return age >= -fresh_age && age < (i->size == 0 ? empty_age : fresh_age);
}

static int read_opened(int fd, const char *path, const char *root,
                       struct fingerprint *print, struct buffer *text)
{
    struct stat before, after;
    if (fstat(fd, &before) != 0)
        return errno;
    int error = check_kind(&before);
    if (error == 0)
        error = confine_check(fd, path, root, &before);
    if (error != 0)
        return error;
    /* The time before reading: a change during the reading must not look old. */
    int64_t now = wall_clock();
    size_t start = text->len;
    error = read_all(fd, before.st_size, text);
    if (error != 0)
        return error;
    if (fstat(fd, &after) != 0)
        return errno;
    struct fingerprint_identity first = identify(&before);
    print->kind = FINGERPRINT_FILE;
    print->identity = identify(&after);
    print->digest = digest(text->data + start, text->len - start);
    int64_t age = now - newest_time(&print->identity);
    /* What was read while the file changed belongs to no time stamp, however old. */
    bool torn = !identical(&first, &print->identity);
    print->racy = torn || age < racy_age;
    print->unsettled = torn || is_fresh(&print->identity, now);
    return 0;
}

static int read_once(const char *path, const char *root, struct fingerprint *print,
                     struct buffer *text)
{
    int fd = reserve_open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return errno == ENXIO ? EACCES : errno; /* a socket */
    int error = read_opened(fd, path, root, print, text);
    reserve_close(fd);
    return error;
}

/* Many editors truncate and write, or remove and create, and a request must not fail
 * because it came in between. The path is opened again after each pause, as another file
 * may have been renamed to it. */
int fingerprint_read(const char *path, const char *root,
                     struct fingerprint_patience *patience, struct fingerprint *print,
                     struct buffer *text)
{
    size_t start = text->len;
    for (int pauses = 0;; pauses++, patience->pauses--) {
        int error = read_once(path, root, print, text);
        bool again = error == 0 ? print->unsettled
                                : error == ENOENT && pauses < MISSING_PAUSES &&
                                      patience->is_known(path);
        if (error != 0)
            text->len = start;
        if (!again || patience->pauses <= 0)
            return error;
        text->len = start;
        take_a_pause();
    }
}

static uint64_t digest_of_directory(const struct stat *st)
{
    const uint64_t numbers[] = {(uint64_t)st->st_dev, (uint64_t)st->st_ino};
    return digest((const char *)numbers, sizeof numbers);
}

int fingerprint_directory(const char *path, struct fingerprint *print)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return ENOTDIR;
    *print = (struct fingerprint){.kind = FINGERPRINT_DIRECTORY,
                                  .identity.dev = st.st_dev,
                                  .digest = digest_of_directory(&st)};
    return 0;
}

/* -- Comparing -- */

bool fingerprint_same_content(const struct fingerprint *a, const struct fingerprint *b)
{
    return a->kind == b->kind && a->digest == b->digest;
}

bool fingerprint_same_identity(const struct fingerprint *a, const struct fingerprint *b)
{
    return identical(&a->identity, &b->identity);
}

/* Errors that say nothing about the file: the daemon is short of something. */
static bool is_transient(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

/* A directory that is missing has not changed: it may be about to be replaced, and the
 * files in it are sources of their own. */
static enum fingerprint_verdict compare_directory(const char *path,
                                                  const struct fingerprint *known)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return FINGERPRINT_UNCHANGED;
    return digest_of_directory(&st) == known->digest ? FINGERPRINT_UNCHANGED
                                                     : FINGERPRINT_CHANGED;
}

static enum fingerprint_verdict compare_absent(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? FINGERPRINT_CHANGED : FINGERPRINT_UNCHANGED;
}

static enum fingerprint_verdict compare_file(const char *path,
                                             const struct fingerprint *known,
                                             bool use_checksum,
                                             struct fingerprint_patience *patience,
                                             struct fingerprint *now)
{
    struct stat st;
    if (stat(path, &st) == 0) {
        struct fingerprint_identity seen = identify(&st);
        bool same = identical(&seen, &known->identity);
        if (same && !known->racy)
            return FINGERPRINT_UNCHANGED;
        if (!same && !use_checksum && !is_fresh(&seen, wall_clock()))
            return FINGERPRINT_CHANGED;
    } else if (is_transient(errno)) {
        return FINGERPRINT_UNCHANGED;
    }
    struct buffer text = {0};
    int error = fingerprint_read(path, "", patience, now, &text);
    buffer_free(&text);
    if (error != 0)
        return is_transient(error) ? FINGERPRINT_UNCHANGED : FINGERPRINT_CHANGED;
    if (now->unsettled)
        return FINGERPRINT_UNCHANGED; /* until the new content is whole */
    /* It may have changed since stat. */
    if (!use_checksum && !identical(&now->identity, &known->identity))
        return FINGERPRINT_CHANGED;
    return now->digest == known->digest ? FINGERPRINT_RENEWED : FINGERPRINT_CHANGED;
}

enum fingerprint_verdict fingerprint_compare(const char *path,
                                             const struct fingerprint *known,
                                             bool use_checksum,
                                             struct fingerprint_patience *patience,
                                             struct fingerprint *now)
{
    switch (known->kind) {
    case FINGERPRINT_DIRECTORY:
        return compare_directory(path, known);
    case FINGERPRINT_ABSENT:
        return compare_absent(path);
    case FINGERPRINT_FILE:
        break;
    }
    return compare_file(path, known, use_checksum, patience, now);
}
