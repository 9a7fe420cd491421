/* SessionFile. The saver writes it; main reads it before there are other threads. Owns no
 * state between calls; takes no lock.
 *
 * A reader trusts nothing: it compares every length with what is left of the file before
 * it asks for memory, and what it read counts only if the sum at the end is right. */
#include "store/file.h"

#include "base/log.h"
#include "base/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char magic[18] = "luafcgid2 session";

#define VERSION      1
#define HEAD_SIZE    (sizeof magic + 4 + 8 + SIPHASH_SECRET_SIZE)
#define SESSION_SIZE (1 + SHA256_SIZE + 8 + 8 + 3 * 8 + 4) /* without its realms */
#define END_SIZE     (1 + 4)
#define AGE_MAX                                                                          \
    ((int64_t)1 << 53) /* some 285,000 years: sums of ages do not overflow               \
                        */

/* A realm and a variable count more bytes in memory than they take in the file. */
_Static_assert(REALM_OVERHEAD >= 8 && VARIABLE_OVERHEAD >= 8, "file_record_room");

/* -- Writing -- */

static void put_bytes(struct buffer *out, const void *data, size_t len)
{
    if (len > 0)
        memcpy(out->data + out->len, data, len);
    out->len += len;
}

static void put_number(struct buffer *out, uint64_t x, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out->data[out->len++] = (char)(x >> (8 * i));
}

static void put_age(struct buffer *out, int64_t age)
{
    put_number(out, (uint64_t)(age < AGE_MAX ? age : AGE_MAX), 8);
}

static void put_realm(struct buffer *out, const struct realm *r)
{
    put_number(out, r->name_len, 4);
    put_bytes(out, r->name, r->name_len);
    put_number(out, r->count, 4);
    for (size_t i = 0; i < r->count; i++) {
        const struct variable *v = r->variables[i];
        put_number(out, v->name_len, 4);
        put_number(out, v->value_len, 4);
        put_bytes(out, v->bytes, (size_t)v->name_len + v->value_len);
    }
}

size_t file_record_room(const struct session_record *r)
{
    return SESSION_SIZE + (size_t)r->data.size;
}

void file_record_put(const struct session_record *r, struct buffer *out)
{
    put_number(out, 'S', 1);
    put_bytes(out, r->id, sizeof r->id);
    put_age(out, r->age);
    put_age(out, r->idle);
    for (int i = 0; i < 3; i++)
        put_number(out, r->client[i], 8);
    put_number(out, r->data.count, 4);
    for (size_t i = 0; i < r->data.count; i++)
        put_realm(out, &r->data.list[i]);
}

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, data, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* `path` with `suffix` behind it. The caller frees it. NULL: out of memory. */
static char *path_with(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *text = malloc(size);
    if (text != NULL)
        snprintf(text, size, "%s%s", path, suffix);
    return text;
}

/* A rename would replace a device or a link, too. */
static bool may_replace(const char *path)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT;
    if (!S_ISREG(st.st_mode)) {
        errno = EEXIST;
        return false;
    }
    return true;
}

bool file_begin(struct session_writer *w, const char *path,
                const struct session_head *head)
{
    *w = (struct session_writer){.path = path, .fd = -1};
    sha256_init(&w->sum);
    if (!may_replace(path))
        return false;
    w->temporary = path_with(path, ".new");
    if (w->temporary == NULL)
        return false;
    /* A file left by a crash is removed; O_EXCL refuses a link put there since. */
    unlink(w->temporary);
    w->fd = reserve_open(w->temporary,
                         O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (w->fd < 0) {
        free(w->temporary);
        w->temporary = NULL;
        return false;
    }
    char bytes[HEAD_SIZE];
    struct buffer out = {.data = bytes, .cap = sizeof bytes};
    put_bytes(&out, magic, sizeof magic);
    put_number(&out, VERSION, 4);
    put_number(&out, (uint64_t)head->wall, 8);
    put_bytes(&out, head->secret, sizeof head->secret);
    return file_append(w, &out, 0);
}

bool file_append(struct session_writer *w, const struct buffer *records, uint32_t count)
{
    w->count += count;
    sha256_update(&w->sum, records->data, records->len);
    return write_all(w->fd, records->data, records->len);
}

/* A renamed file survives a power failure only once its directory is written. */
static bool sync_directory(const char *path)
{
    char *directory = path_with(path, "");
    if (directory == NULL)
        return false;
    char *slash = strrchr(directory, '/');
    if (slash != NULL)
        slash[slash == directory ? 1 : 0] = '\0';
    int fd = reserve_open(slash != NULL ? directory : ".",
                          O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    free(directory);
    if (fd < 0)
        return false;
    /* EINVAL: on this file system directories cannot be synced, and need not be. */
    bool ok = fsync(fd) == 0 || errno == EINVAL;
    reserve_close(fd);
    return ok;
}

bool file_commit(struct session_writer *w)
{
    char bytes[END_SIZE];
    struct buffer out = {.data = bytes, .cap = sizeof bytes};
    put_number(&out, 'E', 1);
    put_number(&out, w->count, 4);
    if (!file_append(w, &out, 0))
        return false;
    unsigned char sum[SHA256_SIZE];
    sha256_final(&w->sum, sum);
    if (!write_all(w->fd, (const char *)sum, sizeof sum) || fsync(w->fd) < 0)
        return false;
    int fd = w->fd;
    w->fd = -1;
    if (close(fd) < 0 || rename(w->temporary, w->path) < 0)
        return false;
    free(w->temporary);
    w->temporary = NULL;
    return sync_directory(w->path);
}

void file_abort(struct session_writer *w)
{
    int error = errno;
    if (w->fd >= 0)
        close(w->fd);
    if (w->temporary != NULL)
        unlink(w->temporary);
    free(w->temporary);
    w->fd = -1;
    w->temporary = NULL;
    errno = error;
}

/* -- Reading -- */

struct reader {
    FILE *in;
    uint64_t left; /* bytes before the sum */
    struct sha256 sum;
    const char *damage; /* the first thing that was wrong, or NULL */
    bool stopped;       /* out of memory: the file is not to blame */
};

static bool damaged(struct reader *r, const char *what)
{
    if (r->damage == NULL)
        r->damage = what;
    return false;
}

static bool take(struct reader *r, void *data, size_t len)
{
    if (len > r->left)
        return damaged(r, "it is too short");
    if (len > 0 && fread(data, len, 1, r->in) != 1)
        return damaged(r, "it cannot be read");
    r->left -= len;
    sha256_update(&r->sum, data, len);
    return true;
}

static bool take_number(struct reader *r, size_t len, uint64_t *x)
{
    unsigned char bytes[8];
    if (!take(r, bytes, len))
        return false;
    *x = 0;
    for (size_t i = 0; i < len; i++)
        *x |= (uint64_t)bytes[i] << (8 * i);
    return true;
}

/* `len` bytes into memory that the caller frees. */
static char *take_text(struct reader *r, uint64_t len)
{
    if (len > r->left || len > INT32_MAX) {
        damaged(r, "it is too short");
        return NULL;
    }
    char *text = malloc((size_t)len + 1);
    if (text == NULL)
        r->stopped = true;
    else if (!take(r, text, (size_t)len)) {
        free(text);
        text = NULL;
    }
    return text;
}

static bool take_variable(struct reader *r, struct bytes realm, struct realms *data)
{
    uint64_t name, value;
    if (!take_number(r, 4, &name) || !take_number(r, 4, &value))
        return false;
    char *text = take_text(r, name + value);
    if (text == NULL)
        return false;
    struct variable *v = realm_variable_create(
        (struct bytes){text, (size_t)name}, (struct bytes){text + name, (size_t)value});
    free(text);
    r->stopped = v == NULL || realms_set(data, realm, v, 0) != REALM_OK;
    realm_variable_drop(v);
    return !r->stopped;
}

static bool take_variables(struct reader *r, struct bytes realm, struct realms *data)
{
    uint64_t count;
    if (!take_number(r, 4, &count))
        return false;
    if (realm.len == 1 && realm.data[0] == '*')
        return damaged(r, "a realm has an impossible name");
    if (realms_add(data, realm) != REALM_OK) {
        r->stopped = true;
        return false;
    }
    while (count-- > 0)
        if (!take_variable(r, realm, data))
            return false;
    return true;
}

static bool take_realm(struct reader *r, struct realms *data)
{
    uint64_t len;
    if (!take_number(r, 4, &len))
        return false;
    char *name = take_text(r, len);
    if (name == NULL)
        return false;
    bool ok = take_variables(r, (struct bytes){name, (size_t)len}, data);
    free(name);
    return ok;
}

static bool take_age(struct reader *r, int64_t *age)
{
    uint64_t x;
    if (!take_number(r, 8, &x))
        return false;
    if (x > AGE_MAX)
        return damaged(r, "a time is impossible");
    *age = (int64_t)x;
    return true;
}

/* Reads a session behind its tag. The caller frees record->data in any case. */
static bool take_session(struct reader *r, struct session_record *record)
{
    uint64_t realms;
    if (!take(r, record->id, sizeof record->id) || !take_age(r, &record->age) ||
        !take_age(r, &record->idle))
        return false;
    for (int i = 0; i < 3; i++)
        if (!take_number(r, 8, &record->client[i]))
            return false;
    if (!take_number(r, 4, &realms))
        return false;
    while (realms-- > 0)
        if (!take_realm(r, &record->data))
            return false;
    return true;
}

static bool take_head(struct reader *r, struct session_head *head)
{
    char text[sizeof magic];
    uint64_t version, wall;
    if (!take(r, text, sizeof text))
        return false;
    if (memcmp(text, magic, sizeof magic) != 0)
        return damaged(r, "it is no file of sessions");
    if (!take_number(r, 4, &version))
        return false;
    if (version != VERSION)
        return damaged(r, "it was written by another version");
    if (!take_number(r, 8, &wall) || !take(r, head->secret, sizeof head->secret))
        return false;
    if (wall > AGE_MAX)
        return damaged(r, "a time is impossible");
    head->wall = (int64_t)wall;
    return true;
}

static bool take_end(struct reader *r, uint32_t count)
{
    uint64_t expected;
    unsigned char sum[SHA256_SIZE], found[SHA256_SIZE];
    if (!take_number(r, 4, &expected))
        return false;
    if (expected != count || r->left != 0)
        return damaged(r, "its end is not where it should be");
    if (fread(found, sizeof found, 1, r->in) != 1)
        return damaged(r, "it cannot be read");
    sha256_final(&r->sum, sum);
    return memcmp(sum, found, sizeof sum) == 0 || damaged(r, "its checksum is wrong");
}

static bool take_all(struct reader *r, struct session_head *head,
                     bool (*each)(struct session_record *, void *), void *arg)
{
    uint32_t count = 0;
    uint64_t tag;
    if (!take_head(r, head))
        return false;
    while (take_number(r, 1, &tag)) {
        if (tag == 'E')
            return take_end(r, count);
        if (tag != 'S')
            return damaged(r, "a session does not begin where it should");
        struct session_record record = {0};
        bool ok = take_session(r, &record);
        if (ok && !each(&record, arg)) {
            r->stopped = true;
            ok = false;
        }
        realms_free(&record.data);
        if (!ok)
            return false;
        count++;
    }
    return false;
}

static void set_aside(const char *path, const char *why)
{
    char *aside = path_with(path, ".damaged");
    if (aside != NULL && rename(path, aside) == 0)
        log_error("SessionFile %s is damaged: %s; renamed %s", path, why, aside);
    else
        log_error("SessionFile %s is damaged: %s; cannot rename it: %s", path, why,
                  strerror(errno));
    free(aside);
}

/* A user who can write the file can make sessions, so no other user may. NULL, or why the
 * file is not trusted. */
static const char *distrust(const struct stat *st)
{
    if (!S_ISREG(st->st_mode))
        return "it is no regular file";
    if (st->st_uid != geteuid() && st->st_uid != 0)
        return "it belongs to another user";
    if ((st->st_mode & (S_IWGRP | S_IWOTH)) != 0)
        return "other users may write it";
    return NULL;
}

/* -1: nothing to read; logged unless there is no file. */
static int open_trusted(const char *path, uint64_t *size)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        if (errno != ENOENT)
            log_error("SessionFile %s cannot be read: %s", path, strerror(errno));
        return -1;
    }
    struct stat st;
    const char *why = fstat(fd, &st) < 0 ? strerror(errno) : distrust(&st);
    if (why != NULL) {
        log_error("SessionFile %s is not read: %s", path, why);
        close(fd);
        return -1;
    }
    *size = (uint64_t)st.st_size;
    return fd;
}

bool file_read(const char *path, struct session_head *head,
               bool (*each)(struct session_record *, void *), void *arg)
{
    uint64_t size;
    int fd = open_trusted(path, &size);
    if (fd < 0)
        return false;
    struct reader r = {.in = fdopen(fd, "r"),
                       .left = size < SHA256_SIZE ? 0 : size - SHA256_SIZE};
    if (r.in == NULL) {
        log_error("SessionFile %s cannot be read: %s", path, strerror(errno));
        close(fd);
        return false;
    }
    sha256_init(&r.sum);
    bool ok = take_all(&r, head, each, arg);
    fclose(r.in);
    if (r.stopped)
        log_error("SessionFile %s is not read: out of memory", path);
    else if (!ok)
        set_aside(path, r.damage);
    return ok;
}
