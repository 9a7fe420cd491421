/* The kernel's random bytes. Any thread; no state. */
#include "base/random.h"

#include <errno.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/random.h>
#endif

bool random_bytes(void *data, size_t len)
{
#ifdef __linux__
    ssize_t n;
    do
        n = getrandom(data, len, 0);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
#else
    return getentropy(data, len) == 0;
#endif
}
