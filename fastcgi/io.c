/* System calls on a connection's socket. See fastcgi/io.h.
 *
 * Runs in the worker that owns the connection, and in the thread that ends the process;
 * owns nothing, no locks. */
#include "fastcgi/io.h"

#include "base/clock.h"
#include "base/watch.h"
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

/* An int for some C libraries, a size_t for others. */
typedef __typeof__(((struct msghdr *)0)->msg_iovlen) iov_count;

/* A late worker may get a signal even while its clock stands still. The signal must not
 * make the wait longer. */
enum io_status io_wait(int fd, short events, int64_t timeout)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = timeout < 0 ? -1 : timeout > INT_MAX ? INT_MAX : timeout;
    int64_t until = clock_milliseconds() + left;
    int n;
    watch_pause();
    while ((n = left == 0 ? 0 : poll(&p, 1, (int)left)) < 0 && errno == EINTR) {
        if (left > 0) {
            int64_t now = clock_milliseconds();
            left = now < until ? until - now : 0;
        }
    }
    watch_resume();
    return n > 0 ? IO_OK : n == 0 ? IO_TIMEOUT : IO_ABORTED;
}

ssize_t io_send(int fd, const void *data, size_t len)
{
    ssize_t n;
    do
        n = send(fd, data, len, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t io_send_parts(int fd, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (iov_count)count};
    ssize_t n;
    do
        n = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n;
}

ssize_t io_receive_parts(int fd, struct iovec *parts, int count)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = (iov_count)count};
    ssize_t n;
    do
        n = recvmsg(fd, &message, MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n;
}
