/* Temporary files: their names, and how one becomes a file for good. Any thread; owns
 * nothing. */
#include "base/tempfile.h"

#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_BYTES 65536

bool tempfile_name(char name[TEMPFILE_NAME_SIZE])
{
    uint64_t number;
    if (!random_bytes(&number, sizeof number))
        return false;
    snprintf(name, TEMPFILE_NAME_SIZE, TEMPFILE_PREFIX "%016llx",
             (unsigned long long)number);
    return true;
}

int tempfile_create(const char *path)
{
    return open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
}

bool tempfile_write(int fd, const void *data, size_t len)
{
    const char *at = data;
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
    }
    return true;
}

/* -- Moving -- */

/* A name beside `path`, for the caller to free. NULL with errno. */
static char *name_beside(const char *path)
{
    char name[TEMPFILE_NAME_SIZE];
    const char *slash = strrchr(path, '/');
    size_t dir = slash == NULL ? 0 : (size_t)(slash + 1 - path);
    char *beside = malloc(dir + sizeof name);
    if (beside == NULL || !tempfile_name(name)) {
        free(beside);
        return NULL;
    }
    memcpy(beside, path, dir);
    memcpy(beside + dir, name, strlen(name) + 1);
    return beside;
}

static bool copy_content(int from, int to, bool (*go_on)(void *arg), void *arg)
{
    char *block = malloc(COPY_BYTES);
    ssize_t n = block == NULL ? -1 : 1;
    while (n > 0) {
        n = read(from, block, COPY_BYTES);
        if (n < 0 && errno == EINTR) {
            n = 1;
            continue;
        }
        if (n > 0 && !tempfile_write(to, block, (size_t)n))
            n = -1;
        if (n > 0 && !go_on(arg)) {
            errno = ECANCELED;
            n = -1;
        }
    }
    int error = errno;
    free(block);
    errno = error;
    return n == 0 && fsync(to) == 0;
}

static bool copy(const char *path, int to, bool (*go_on)(void *arg), void *arg)
{
    int from = open(path, O_RDONLY | O_CLOEXEC);
    if (from < 0)
        return false;
    bool ok = copy_content(from, to, go_on, arg);
    int error = errno;
    close(from);
    errno = error;
    return ok;
}

/* `new` is an empty file beside `to`, which shows what permissions files get there. */
static bool move_over(const char *from, const char *to, const char *new, int fd,
                      bool (*go_on)(void *arg), void *arg)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || chmod(from, st.st_mode & 0777) != 0)
        return false;
    if (rename(from, to) == 0) {
        unlink(new);
        return true;
    }
    if (errno == EXDEV && copy(from, fd, go_on, arg) && rename(new, to) == 0) {
        unlink(from);
        return true;
    }
    int error = errno;
    chmod(from, 0600);
    errno = error;
    return false;
}

bool tempfile_move(const char *from, const char *to, bool (*go_on)(void *arg), void *arg)
{
    char *new = name_beside(to);
    int fd = new == NULL ? -1 : open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    bool ok = fd >= 0 && move_over(from, to, new, fd, go_on, arg);
    int error = errno;
    if (fd >= 0) {
        close(fd);
        if (!ok)
            unlink(new);
    }
    free(new);
    errno = error;
    return ok;
}
