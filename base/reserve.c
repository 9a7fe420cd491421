/* Descriptors in reserve. Each is open on /dev/null until it is closed in favour of a
 * file for which no other descriptor is left. They are in `held`: a thread that exchanges
 * one for EMPTY owns it. There is no lock. */
#include "base/reserve.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    HELD = 4,       /* a source, the log, the configuration, the sessions */
    MARGIN = 32,    /* descriptors that scripts leave for the daemon and clients */
    MOST = 1 << 20, /* taken as the limit where there is none */
};

/* 0 is a valid descriptor, but also what static memory holds at first; so `held` has each
 * descriptor plus one. */
static atomic_int held[HELD];
#define EMPTY 0

static bool put(int fd)
{
    for (int i = 0; i < HELD; i++) {
        int empty = EMPTY;
        if (atomic_compare_exchange_strong(&held[i], &empty, fd + 1))
            return true;
    }
    return false;
}

static bool is_short(void)
{
    for (int i = 0; i < HELD; i++)
        if (atomic_load_explicit(&held[i], memory_order_relaxed) == EMPTY)
            return true;
    return false;
}

/* false: there is none. */
static bool give_up_one(void)
{
    for (int i = 0; i < HELD; i++) {
        int fd = atomic_exchange(&held[i], EMPTY) - 1;
        if (fd >= 0) {
            close(fd);
            return true;
        }
    }
    return false;
}

void reserve_fill(void)
{
    while (is_short()) {
        int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return;
        if (!put(fd))
            close(fd);
    }
}

/* Another thread may take the number first; then this is tried again. */
int reserve_open(const char *path, int flags, mode_t mode)
{
    int fd;
    do
        fd = open(path, flags, mode);
    while (fd < 0 && (errno == EMFILE || errno == ENFILE) && give_up_one());
    return fd;
}

/* Standard input is /dev/null. Putting it under the number of `fd` closes the file, and
 * no other thread can get the number in between. */
void reserve_close(int fd)
{
    if (is_short() && dup3(STDIN_FILENO, fd, O_CLOEXEC) == fd && put(fd))
        return;
    close(fd);
}

int reserve_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur > MOST)
        return MOST;
    return (int)limit.rlim_cur;
}

/* The system gives the lowest number that is free. */
bool reserve_spares(void)
{
    int limit = reserve_limit(), margin = limit / 4 < MARGIN ? limit / 4 : MARGIN;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    close(fd);
    errno = EMFILE;
    return fd < limit - margin;
}
