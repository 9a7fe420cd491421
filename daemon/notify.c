/* Telling the service manager how the daemon is.
 *
 * The protocol is one datagram per message to the unix socket named by NOTIFY_SOCKET. The
 * main thread fills the variables below before any other thread runs; after that they are
 * only read, so no lock is needed. Each message has a socket of its own: there is one
 * message every few seconds, and so no socket gets stale or is inherited. */
#include "daemon/notify.h"

#include "base/number.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Some systems lack these flags. SIGPIPE is ignored anyway, and the descriptor lives for
 * one call only. */
#ifndef SOCK_CLOEXEC
#define SOCK_CLOEXEC 0
#endif
#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0
#endif

enum { PATIENCE = 2 }; /* seconds */

static struct sockaddr_un manager;
static socklen_t manager_len; /* 0: nobody listens */
static int64_t watchdog_ms;

/* An abstract name starts with a NUL, and the length of the address ends it. A path ends
 * with a NUL. */
static void set_manager(const char *name)
{
    size_t len = strlen(name);
    manager_len = 0;
    if ((name[0] != '/' && name[0] != '@') || len < 2 || len >= sizeof manager.sun_path)
        return;
    memset(&manager, 0, sizeof manager);
    manager.sun_family = AF_UNIX;
    memcpy(manager.sun_path, name, len);
    if (name[0] == '@')
        manager.sun_path[0] = '\0';
    else
        len++;
    manager_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
}

static void set_watchdog(const char *usec, const char *pid)
{
    int64_t period = number_decimal(usec, INT64_MAX);
    watchdog_ms = 0;
    if (period <= 0 ||
        (pid != NULL && number_decimal(pid, INT64_MAX) != (int64_t)getpid()))
        return;
    watchdog_ms = period / 2000;
    if (watchdog_ms == 0)
        watchdog_ms = 1;
}

void notify_start(void)
{
    const char *name = getenv("NOTIFY_SOCKET");
    set_manager(name != NULL ? name : "");
    set_watchdog(getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
}

static bool send_state(const char *state, bool wait)
{
    if (manager_len == 0)
        return false;
    int saved = errno;
    bool sent = false;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) {
        size_t len = strlen(state);
        struct timeval time = {.tv_sec = PATIENCE};
        bool bounded = setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time) == 0;
        ssize_t n =
            sendto(fd, state, len, MSG_NOSIGNAL | (wait && bounded ? 0 : MSG_DONTWAIT),
                   (const struct sockaddr *)&manager, manager_len);
        sent = n >= 0 && (size_t)n == len;
        close(fd);
    }
    errno = saved;
    return sent;
}

bool notify_send(const char *state)
{
    return send_state(state, false);
}

bool notify_tell(const char *state)
{
    return send_state(state, true);
}

bool notify_sendf(const char *format, ...)
{
    char state[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(state, sizeof state, format, args);
    va_end(args);
    return len >= 0 && (size_t)len < sizeof state && notify_send(state);
}

bool notify_reloading(void)
{
    struct timespec now;
    char state[64];
    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%" PRId64,
             (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    return notify_tell(state);
}

int64_t notify_watchdog(void)
{
    return watchdog_ms;
}
