/* The feed: a worker's memory that libfcgi can read as a descriptor. See fastcgi/feed.h.
 *
 * Runs in the worker that owns it; no locks. */
#include "fastcgi/feed.h"

#include "fastcgi/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* A test may define FEED_SOCKETPAIR to have socket pairs here, too. */
#if defined(MFD_CLOEXEC) && !defined(FEED_SOCKETPAIR)

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

/* Kernels before 6.3 do not know the flag; later ones may be set up to demand it. */
static int open_file(void)
{
    int fd = memfd_create("luafcgid2", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("luafcgid2", MFD_CLOEXEC);
    return fd;
}

static bool open_mapping(struct feed *f)
{
    int fd = open_file();
    if (fd < 0)
        return false;
    if (ftruncate(fd, (off_t)f->size) == 0) {
        void *p = mmap(NULL, f->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (p != MAP_FAILED) {
            f->data = p;
            f->mapped = true;
            f->read_end = fd;
            return true;
        }
    }
    close(fd);
    return false;
}

#else

/* Not on systems where a mapping and read(2) may see different bytes (OpenBSD). */
static bool open_mapping(struct feed *f)
{
    (void)f;
    return false;
}

#endif

static bool send_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR)
            return false;
        p += sent > 0 ? sent : 0;
        n -= sent > 0 ? (size_t)sent : 0;
    }
    return true;
}

/* Whether the pair takes `max` bytes at once. It is tried, because each system counts
 * them in its own way. */
static bool try_pair(struct feed *f, size_t max)
{
    if (!send_all(f->write_end, f->data, max)) {
        errno = errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS ? EMSGSIZE
                                                                            : errno;
        return false;
    }
    for (size_t left = max; left > 0;) {
        ssize_t n = recv(f->read_end, f->data, left, 0);
        if (n <= 0)
            return false;
        left -= (size_t)n;
    }
    return true;
}

static bool open_pair(struct feed *f, size_t max)
{
    int fds[2];
    f->data = calloc(1, f->size);
    if (f->data == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) != 0)
        return false;
    f->read_end = fds[0];
    f->write_end = fds[1];
    int room = max > 0x1fffffff ? 0x3fffffff : (int)(2 * max);
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &room, sizeof room);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
    }
    return try_pair(f, max);
}

bool feed_open(struct feed *f, size_t size, size_t max)
{
    *f = (struct feed){.read_end = -1, .write_end = -1, .size = size, .max = max};
    if (open_mapping(f) || open_pair(f, max))
        return true;
    int saved = errno;
    feed_close(f);
    errno = saved;
    return false;
}

void feed_close(struct feed *f)
{
    if (f->mapped)
        munmap(f->data, f->size);
    else
        free(f->data);
    if (f->read_end >= 0)
        close(f->read_end);
    if (f->write_end >= 0)
        close(f->write_end);
    *f = (struct feed){.read_end = -1, .write_end = -1};
}

bool feed_replace(struct feed *f, size_t used)
{
    struct feed fresh;
    f->read_end = -1;
    if (!feed_open(&fresh, f->size, f->max))
        return false;
    memcpy(fresh.data, f->data, used);
    feed_close(f);
    *f = fresh;
    return true;
}

bool feed_offer(struct feed *f, size_t offset, size_t len)
{
    if (f->read_end < 0) {
        errno = EBADF;
        return false;
    }
    if (f->mapped)
        return lseek(f->read_end, (off_t)offset, SEEK_SET) >= 0;
    return send_all(f->write_end, f->data + offset, len);
}
