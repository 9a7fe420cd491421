/* The listening socket: made from `Listen`, or inherited from systemd or spawn-fcgi.
 *
 * Everything but listener_accept and listener_ready runs in the main thread, before there
 * are others or after they are gone. `bound` remembers the unix sockets to unlink; it is
 * the main thread's. */
#include "fastcgi/listener.h"

#include "base/account.h"
#include "base/log.h"
#include "base/number.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { SYSTEMD_FIRST_FD = 3, PORT_MAX = 65535 };

static struct bound {
    char path[sizeof((struct sockaddr_un *)0)->sun_path];
    dev_t dev;
    ino_t ino;
} bound[2];

struct report {
    const char *option; /* Listen, or another that takes the same */
    char *text;
    size_t size;
};

/* The one line for the user. Returns -1. */
__attribute__((format(printf, 2, 3))) static int fail(const struct report *report,
                                                      const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(report->text, report->size, format, args);
    va_end(args);
    return -1;
}

/* As fail; closes `fd` too. */
#define fail_closing(fd, ...) (close(fd), fail(__VA_ARGS__))

static bool set_flags(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
}

/* -- Inherited sockets -- */

static int int_option(int fd, int name)
{
    int value = -1;
    socklen_t len = sizeof value;
    return getsockopt(fd, SOL_SOCKET, name, &value, &len) == 0 ? value : -1;
}

static int take_inherited(int fd, const char *whose, const struct report *report)
{
    if (int_option(fd, SO_TYPE) != SOCK_STREAM || int_option(fd, SO_ACCEPTCONN) != 1) {
        return fail(report,
                    "%s: descriptor %d is not a listening stream socket: start "
                    "luafcgid2 from what opens it, or set %s to a path or address",
                    whose, fd, report->option);
    }
    /* 0, 1 and 2 are for other things: main puts /dev/null there. */
    int taken = fd > 2 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return taken >= 0 && set_flags(taken)
               ? taken
               : fail(report, "%s: %s", whose, strerror(errno));
}

/* sd_listen_fds(3). The variables are unset: children must not take them as theirs. 0:
 * nothing was passed to this process. */
static long systemd_sockets(void)
{
    long pid = (long)number_decimal(getenv("LISTEN_PID"), LONG_MAX);
    long count = (long)number_decimal(getenv("LISTEN_FDS"), LONG_MAX);
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    return pid == (long)getpid() && count > 0 ? count : 0;
}

/* -- Unix sockets -- */

/* Tries to connect to `path`. 0: a server answers. Else errno. */
static int try_connect(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return errno;
    int error = 0;
    if (!set_flags(fd) ||
        connect(fd, (const struct sockaddr *)address, sizeof *address) != 0)
        error = errno;
    close(fd);
    return error;
}

/* Removes the socket that a dead server has left at the path. -1: the path is not free.
 */
static int clear_path(const struct sockaddr_un *address, const struct report *report)
{
    const char *path = address->sun_path;
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : fail(report, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode)) {
        return fail(report,
                    "%s: is there already and is not a socket: move it away, or "
                    "set %s to another path",
                    path, report->option);
    }
    int error = try_connect(address);
    if (error == ECONNREFUSED || error == ENOENT) {
        if (unlink(path) != 0 && errno != ENOENT) {
            return fail(report, "%s: cannot replace the socket left there: %s", path,
                        strerror(errno));
        }
        return 0;
    }
    if (error == 0 || error == EAGAIN || error == EINPROGRESS || error == EPROTOTYPE) {
        return fail(report,
                    "%s: another server listens there: stop it, or set %s to "
                    "another path",
                    path, report->option);
    }
    return fail(report, "%s: cannot tell whether a server listens there: %s", path,
                strerror(error));
}

/* Owner first: a change of owner may clear mode bits. */
static int set_access(const char *path, const struct config *config,
                      const struct report *report)
{
    struct account user = {.uid = (uid_t)-1};
    gid_t group = (gid_t)-1;
    const char *owner_name = config->listen_owner != NULL ? config->listen_owner : "";
    const char *group_name = config->listen_group != NULL ? config->listen_group : "";
    if (*owner_name && !account_find_user(owner_name, &user))
        return fail(report, "ListenOwner: there is no user \"%s\"", owner_name);
    if (*group_name && !account_find_group(group_name, &group))
        return fail(report, "ListenGroup: there is no group \"%s\"", group_name);
    if ((*owner_name || *group_name) && chown(path, user.uid, group) != 0) {
        return fail(report, "%s: cannot give it to ListenOwner, ListenGroup: %s", path,
                    strerror(errno));
    }
    if (chmod(path, config->listen_mode & 0777) != 0)
        return fail(report, "%s: cannot set ListenMode: %s", path, strerror(errno));
    return 0;
}

/* Between bind and chmod the umask keeps others from the socket as ListenMode does. */
static int bind_unix(int fd, const struct sockaddr_un *address,
                     const struct config *config, const struct report *report)
{
    const char *path = address->sun_path;
    mode_t before = umask((mode_t)(~config->listen_mode & 0777));
    int failed = bind(fd, (const struct sockaddr *)address, sizeof *address);
    int error = errno;
    umask(before);
    if (failed)
        return fail(report, "%s: cannot make the socket: %s", path, strerror(error));
    struct stat st;
    if (lstat(path, &st) != 0)
        return fail(report, "%s: %s", path, strerror(errno));
    struct bound *b = &bound[bound[0].path[0] != '\0'];
    snprintf(b->path, sizeof b->path, "%s", path);
    b->dev = st.st_dev;
    b->ino = st.st_ino;
    if (set_access(path, config, report) != 0) {
        listener_unlink();
        return -1;
    }
    return 0;
}

static int start_listening(int fd, const char *where, const struct config *config,
                           const struct report *report)
{
    int backlog = config->backlog > 0 ? config->backlog : SOMAXCONN;
    if (listen(fd, backlog) != 0) {
        int error = errno;
        return fail(report, "%s: cannot listen: %s", where, strerror(error));
    }
    return 0;
}

static int listen_unix(const char *path, const struct config *config,
                       const struct report *report)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path), most = sizeof address.sun_path - 1;
    if (len == 0 || len > most) {
        return fail(report, "%s: a socket's path has from 1 to %zu bytes, got %zu",
                    report->option, most, len);
    }
    memcpy(address.sun_path, path, len);
    if (clear_path(&address, report) != 0)
        return -1;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return fail(report, "%s: %s", report->option, strerror(errno));
    if (!set_flags(fd))
        return fail_closing(fd, report, "%s: %s", report->option, strerror(errno));
    if (bind_unix(fd, &address, config, report) != 0) {
        close(fd);
        return -1;
    }
    if (start_listening(fd, path, config, report) != 0) {
        listener_unlink();
        close(fd);
        return -1;
    }
    return fd;
}

static void unlink_bound(struct bound *b)
{
    struct stat st;
    if (b->path[0] != '\0' && lstat(b->path, &st) == 0 && st.st_dev == b->dev &&
        st.st_ino == b->ino)
        unlink(b->path);
    b->path[0] = '\0';
}

void listener_unlink(void)
{
    for (size_t i = 0; i < sizeof bound / sizeof bound[0]; i++)
        unlink_bound(&bound[i]);
}

/* -- TCP -- */

struct endpoint {
    char host[256];   /* "" for the loopback address, "*" for all */
    const char *port; /* digits */
};

/* host:port, [v6]:port, :port, *:port */
static bool split_endpoint(const char *text, struct endpoint *e)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    if (colon == NULL)
        return false;
    if (len >= 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    } else if (memchr(text, ':', len) != NULL) {
        return false;
    }
    long port = (long)number_decimal(colon + 1, LONG_MAX);
    if (len >= sizeof e->host || port < 0 || port > PORT_MAX)
        return false;
    memcpy(e->host, text, len);
    e->host[len] = '\0';
    e->port = colon + 1;
    return true;
}

/* At boot the machine may not have the address yet, because DHCP has not answered. The
 * daemon can bind it all the same, and gets connections once the address is there. */
static void allow_absent_address(int fd, int family)
{
    int on = 1;
#ifdef IP_FREEBIND
    if (family == AF_INET)
        setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on);
#endif
#ifdef IPV6_FREEBIND
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_FREEBIND, &on, sizeof on);
#endif
    (void)fd;
    (void)family;
    (void)on;
}

/* Nagle's algorithm would delay responses. Accepted sockets inherit the option. */
static int open_tcp(const struct addrinfo *a, bool both)
{
    int fd = socket(a->ai_family, SOCK_STREAM, 0), on = 1, off = 0;
    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    allow_absent_address(fd, a->ai_family);
#ifdef IPV6_V6ONLY
    if (a->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, both ? &off : &on, sizeof on);
#endif
    if (!set_flags(fd) || bind(fd, a->ai_addr, a->ai_addrlen) != 0) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    return fd;
}

/* The first address that can be bound. For every interface (`all`) IPv6 goes first,
 * because such a socket takes IPv4 too. */
static int bind_any(const struct addrinfo *list, bool all)
{
    int fd = -1;
    for (const struct addrinfo *a = list; all && a != NULL && fd < 0; a = a->ai_next)
        if (a->ai_family == AF_INET6)
            fd = open_tcp(a, true);
    /* A name such as localhost has addresses of both families. Web servers'
     * configurations mostly mean the IPv4 one. */
    for (const struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        if (a->ai_family == AF_INET)
            fd = open_tcp(a, false);
    for (const struct addrinfo *a = list; !all && a != NULL && fd < 0; a = a->ai_next)
        if (a->ai_family != AF_INET)
            fd = open_tcp(a, false);
    return fd;
}

static int listen_tcp(const char *text, const struct config *config,
                      const struct report *report)
{
    struct endpoint e;
    if (!split_endpoint(text, &e)) {
        return fail(report,
                    "%s: expected a path, host:port, [::1]:port, :port or *:port "
                    "with a port from 0 to 65535, got \"%s\"",
                    report->option, text);
    }
    bool all = strcmp(e.host, "*") == 0;
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICSERV | (all ? AI_PASSIVE : 0)};
    const char *host = all ? NULL : e.host[0] ? e.host : "127.0.0.1";
    struct addrinfo *list = NULL;
    int problem = getaddrinfo(host, e.port, &hints, &list);
    if (problem != 0)
        return fail(report, "%s: %s: %s", report->option, text, gai_strerror(problem));
    int fd = bind_any(list, all);
    int error = errno;
    freeaddrinfo(list);
    if (fd < 0 && error == EADDRINUSE) {
        return fail(report,
                    "%s: %s: another server listens there: stop it, or set %s "
                    "to another port",
                    report->option, text, report->option);
    }
    if (fd < 0)
        return fail(report, "%s: %s: %s", report->option, text, strerror(error));
    if (start_listening(fd, text, config, report) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static int listen_at(const char *text, const struct config *config,
                     const struct report *report)
{
    if (strncmp(text, "fd:", 3) == 0 && number_decimal(text + 3, 0xffff) >= 0)
        return take_inherited((int)number_decimal(text + 3, 0xffff), report->option,
                              report);
    if (strncmp(text, "unix:", 5) == 0)
        return listen_unix(text + 5, config, report);
    if (strchr(text, '/') != NULL || strchr(text, ':') == NULL)
        return listen_unix(text, config, report);
    return listen_tcp(text, config, report);
}

int listener_listen(const struct config *config, char *error, size_t size)
{
    const struct report report = {"Listen", error, size};
    long passed = systemd_sockets();
    if (passed > 1) {
        return fail(&report,
                    "systemd passed %ld sockets, expected 1: give the .socket "
                    "unit one ListenStream",
                    passed);
    }
    if (passed == 1)
        return take_inherited(SYSTEMD_FIRST_FD, "systemd", &report);
    return listen_at(config->listen, config, &report);
}

int listener_listen_status(const struct config *config, char *error, size_t size)
{
    const struct report report = {"StatusListen", error, size};
    return listen_at(config->status_listen, config, &report);
}

/* -- Who may connect -- */

/* IPv4 addresses are kept as IPv4-mapped IPv6 ones (RFC 4291, 2.5.5.2), which is also how
 * a socket of both families reports them. */
struct listener_peers {
    size_t count;
    struct in6_addr addresses[];
};

static struct in6_addr mapped(struct in_addr v4)
{
    struct in6_addr address = {.s6_addr = {[10] = 0xff, [11] = 0xff}};
    memcpy(&address.s6_addr[12], &v4, sizeof v4);
    return address;
}

static bool parse_address(const char *text, struct in6_addr *address)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *address = mapped(v4);
        return true;
    }
    return inet_pton(AF_INET6, text, address) == 1;
}

/* A list without one valid address still refuses every peer. */
bool listener_peers_create(struct listener_peers **peers)
{
    const char *value = getenv("FCGI_WEB_SERVER_ADDRS");
    *peers = NULL;
    if (value == NULL || *value == '\0')
        return true;
    char *list = strdup(value);
    size_t most = strlen(value) / 2 + 1;
    struct listener_peers *p = malloc(sizeof *p + most * sizeof p->addresses[0]);
    if (list == NULL || p == NULL) {
        free(list);
        free(p);
        return false;
    }
    p->count = 0;
    char *rest;
    for (char *text = strtok_r(list, ", ", &rest); text != NULL;
         text = strtok_r(NULL, ", ", &rest))
        if (parse_address(text, &p->addresses[p->count]))
            p->count++;
        else
            log_warning("FCGI_WEB_SERVER_ADDRS: \"%s\" is not an IP address", text);
    free(list);
    *peers = p;
    return true;
}

void listener_peers_destroy(struct listener_peers *peers)
{
    free(peers);
}

static bool may_connect(const struct listener_peers *peers,
                        const struct sockaddr_storage *from)
{
    struct in6_addr address;
    if (from->ss_family == AF_INET)
        address = mapped(((const struct sockaddr_in *)(const void *)from)->sin_addr);
    else if (from->ss_family == AF_INET6)
        address = ((const struct sockaddr_in6 *)(const void *)from)->sin6_addr;
    else
        return true; /* the list is about TCP */
    for (size_t i = 0; i < peers->count; i++)
        if (memcmp(&peers->addresses[i], &address, sizeof address) == 0)
            return true;
    return false;
}

bool listener_is_tcp(int listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    return getsockname(listener, (struct sockaddr *)&address, &len) == 0 &&
           (address.ss_family == AF_INET || address.ss_family == AF_INET6);
}

bool listener_ready(int listener)
{
    struct pollfd p = {.fd = listener, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static int plain_accept(int listener, struct sockaddr *from, socklen_t *len)
{
#ifdef __APPLE__
    int fd = accept(listener, from, len);
    if (fd >= 0) {
        fcntl(fd, F_SETFD, FD_CLOEXEC);
        fcntl(fd, F_SETFL, 0);
    }
    return fd;
#else
    return accept4(listener, from, len, SOCK_CLOEXEC);
#endif
}

int listener_accept(int listener, const struct listener_peers *peers)
{
    if (peers == NULL)
        return plain_accept(listener, NULL, NULL);
    struct sockaddr_storage from = {0};
    socklen_t len = sizeof from;
    int fd = plain_accept(listener, (struct sockaddr *)&from, &len);
    if (fd >= 0 && !may_connect(peers, &from)) {
        close(fd);
        errno = ECONNABORTED;
        return -1;
    }
    return fd;
}
