/* The allocator that fails at a given call, and sockets that take one byte at a time.
 * `countdown` and `fired` are atomic: workers allocate while the test looks. */
#include "faults.h"

#include <errno.h>
#include <stdatomic.h>

static atomic_uint countdown; /* allocations until one fails; 0: none will */
static atomic_bool all_after, failing, fired;

void faults_arm(unsigned n, bool all)
{
    atomic_store(&fired, false);
    atomic_store(&failing, false);
    atomic_store(&all_after, all);
    atomic_store(&countdown, n);
}

bool faults_disarm(void)
{
    atomic_store(&countdown, 0);
    atomic_store(&failing, false);
    return atomic_load(&fired);
}

static bool fails(void)
{
    bool now = atomic_load(&failing);
    unsigned n = atomic_load(&countdown);
    while (n > 0 && !atomic_compare_exchange_weak(&countdown, &n, n - 1))
        ;
    if (n == 1) {
        now = true;
        atomic_store(&failing, atomic_load(&all_after));
    }
    if (now) {
        atomic_store(&fired, true);
        errno = ENOMEM;
    }
    return now;
}

void *faults_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

void *faults_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

void *faults_realloc(void *block, size_t size)
{
    return fails() ? NULL : realloc(block, size);
}

char *faults_strdup(const char *s)
{
    return fails() ? NULL : strdup(s);
}

char *faults_strndup(const char *s, size_t len)
{
    return fails() ? NULL : strndup(s, len);
}

ssize_t faults_sendmsg(int fd, const struct msghdr *message, int flags)
{
    for (size_t i = 0; i < (size_t)message->msg_iovlen; i++)
        if (message->msg_iov[i].iov_len > 0)
            return send(fd, message->msg_iov[i].iov_base, 1, flags);
    return 0;
}
