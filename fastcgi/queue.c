/* The queue of a listening socket. Linux tells it: of TCP by TCP_INFO (tcp(7)), of a unix
 * socket by sock_diag(7), and where a sandbox allows no netlink socket, by /proc/net/unix
 * (proc(5)). Any thread; no state. */
#include "fastcgi/queue.h"

#ifdef __linux__
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#if __has_include(<linux/unix_diag.h>)
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#define HAS_SOCK_DIAG
#endif

/* -- TCP -- */

static bool read_tcp(int listener, int *waiting, int *most)
{
    struct tcp_info info;
    socklen_t len = sizeof info;
    if (getsockopt(listener, IPPROTO_TCP, TCP_INFO, &info, &len) != 0)
        return false;
    *waiting = (int)info.tcpi_unacked; /* of a listening socket these two are its queue */
    *most = (int)info.tcpi_sacked;
    return true;
}

/* -- Unix sockets, by sock_diag -- */

#ifdef HAS_SOCK_DIAG
static bool ask(int fd, ino_t inode)
{
    struct {
        struct nlmsghdr head;
        struct unix_diag_req request;
    } message = {.head = {.nlmsg_len = sizeof message,
                          .nlmsg_type = SOCK_DIAG_BY_FAMILY,
                          .nlmsg_flags = NLM_F_REQUEST},
                 .request = {.sdiag_family = AF_UNIX,
                             .udiag_states = ~0u,
                             .udiag_ino = (uint32_t)inode,
                             .udiag_show = UDIAG_SHOW_RQLEN,
                             .udiag_cookie = {~0u, ~0u}}};
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    return sendto(fd, &message, sizeof message, 0, (struct sockaddr *)&kernel,
                  sizeof kernel) == (ssize_t)sizeof message;
}

/* Netlink's parts begin at multiples of 4 (netlink(7)). */
static size_t aligned(size_t n)
{
    return (n + 3) & ~(size_t)3;
}

/* Of a listening socket UNIX_DIAG_RQLEN is its queue. */
static bool find_queue(const struct nlmsghdr *head, size_t len, int *waiting, int *most)
{
    struct unix_diag_rqlen queue;
    size_t at = aligned(sizeof(struct nlmsghdr)) + aligned(sizeof(struct unix_diag_msg));
    while (at + sizeof(struct nlattr) <= len) {
        struct nlattr attribute;
        memcpy(&attribute, (const char *)head + at, sizeof attribute);
        if (attribute.nla_len < sizeof attribute || at + attribute.nla_len > len)
            return false;
        if (attribute.nla_type == UNIX_DIAG_RQLEN &&
            attribute.nla_len >= sizeof attribute + sizeof queue) {
            memcpy(&queue, (const char *)head + at + sizeof attribute, sizeof queue);
            *waiting = (int)queue.udiag_rqueue;
            *most = (int)queue.udiag_wqueue;
            return true;
        }
        at += aligned(attribute.nla_len);
    }
    return false;
}

/* The kernel answers within the call of ask, so there is nothing to wait for. */
static bool read_diag(ino_t inode, int *waiting, int *most)
{
    union {
        struct nlmsghdr head;
        char bytes[1024];
    } answer;
    int fd =
        socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    if (fd < 0)
        return false;
    ssize_t n = ask(fd, inode) ? recv(fd, &answer, sizeof answer, 0) : -1;
    close(fd);
    return n >= (ssize_t)sizeof answer.head && answer.head.nlmsg_len <= (size_t)n &&
           answer.head.nlmsg_type == SOCK_DIAG_BY_FAMILY &&
           find_queue(&answer.head, answer.head.nlmsg_len, waiting, most);
}

#else

/* A C library without the kernel's headers, as musl is in Debian. */
static bool read_diag(ino_t inode, int *waiting, int *most)
{
    (void)inode;
    (void)waiting;
    (void)most;
    return false;
}

#endif

/* -- Unix sockets, by /proc/net/unix -- */

/* A connection that waits there has the listening socket's name, no inode, and is neither
 * unconnected nor connected. */
static bool is_waiting(const char *line, const char *path)
{
    unsigned long inode;
    unsigned state;
    int at = 0;
    if (sscanf(line, "%*s %*s %*s %*s %*s %x %lu %n", &state, &inode, &at) != 2 ||
        at == 0)
        return false;
    size_t len = strcspn(line + at, "\n");
    return inode == 0 && len == strlen(path) && memcmp(line + at, path, len) == 0;
}

static bool read_proc(int listener, int *waiting, int *most)
{
    struct sockaddr_un address = {0};
    socklen_t len = sizeof address;
    if (getsockname(listener, (struct sockaddr *)&address, &len) != 0 ||
        address.sun_family != AF_UNIX || len >= sizeof address)
        return false;
    FILE *f = fopen("/proc/net/unix", "re");
    if (f == NULL)
        return false;
    char line[512];
    *waiting = 0;
    *most = 0;
    while (fgets(line, sizeof line, f) != NULL)
        *waiting += is_waiting(line, address.sun_path);
    fclose(f);
    return true;
}

bool queue_read(int listener, int *waiting, int *most)
{
    struct stat st;
    if (listener < 0)
        return false;
    if (read_tcp(listener, waiting, most))
        return true;
    return fstat(listener, &st) == 0 &&
           (read_diag(st.st_ino, waiting, most) || read_proc(listener, waiting, most));
}

#else

bool queue_read(int listener, int *waiting, int *most)
{
    (void)listener;
    (void)waiting;
    (void)most;
    return false;
}

#endif
