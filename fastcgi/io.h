/* System calls on a connection's socket, and how reading and writing on it go.
 *
 * Only the owner of the descriptor calls these. */
#ifndef LUAFCGID2_FASTCGI_IO_H
#define LUAFCGID2_FASTCGI_IO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* Where the flag is missing, it is enough that the daemon ignores SIGPIPE. */
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

enum io_status {
    IO_OK,
    IO_END, /* the body is over: the empty FCGI_STDIN was read */
    IO_TIMEOUT,
    IO_ABORTED, /* the peer is gone, sent FCGI_ABORT_REQUEST or broke the protocol */
};

/* Waits at most `timeout` milliseconds (< 0: for ever) for the poll(2) events. IO_OK:
 * they may have come. The wait has a limit of its own, so the clock of the request
 * (base/watch.h) stands still. */
enum io_status io_wait(int fd, short events, int64_t timeout);

/* As send(2), without waiting and without SIGPIPE. */
ssize_t io_send(int fd, const void *data, size_t len);

/* The same for several parts, and as recv(2) into several, without waiting. */
ssize_t io_send_parts(int fd, struct iovec *parts, int count);
ssize_t io_receive_parts(int fd, struct iovec *parts, int count);

#endif
