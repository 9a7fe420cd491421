/* The poller: epoll(7) or kqueue(2) behind fastcgi/poller.h.
 *
 * Called by every worker, and by the thread that stops them. Owns the kernel's queue and
 * the two descriptors that kick and wake. No locks: the kernel's queue is the
 * only shared state.
 */
#include "fastcgi/poller.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#if defined(__FreeBSD__) || defined(__OpenBSD__) || defined(__NetBSD__) ||               \
    defined(__DragonFly__) || defined(__APPLE__)
#ifndef POLLER_KQUEUE
#define POLLER_KQUEUE
#endif
#endif

#ifndef POLLER_KQUEUE

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>

struct poller {
    int queue, kick, wake, timer;
};

static bool control(struct poller *p, int operation, int fd, uint32_t events,
                    uint32_t cookie)
{
    struct epoll_event e = {.events = events, .data.u64 = cookie};
    return epoll_ctl(p->queue, operation, fd, &e) == 0;
}

static bool watch(struct poller *p, int fd, uint32_t events, uint32_t cookie)
{
    return control(p, EPOLL_CTL_ADD, fd, events, cookie);
}

struct poller *poller_create(void)
{
    struct poller *p = malloc(sizeof *p);
    if (p == NULL)
        return NULL;
    p->queue = epoll_create1(EPOLL_CLOEXEC);
    p->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    p->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    /* Each write to an edge-triggered eventfd is an event of its own, and so is each
     * moment of a timer. A level-triggered one that nobody reads makes every later wait
     * return. */
    if (p->queue < 0 || p->kick < 0 || p->wake < 0 || p->timer < 0 ||
        !watch(p, p->timer, EPOLLIN | EPOLLET, POLLER_TIMER) ||
        !watch(p, p->kick, EPOLLIN | EPOLLET, POLLER_KICKED) ||
        !watch(p, p->wake, EPOLLIN, POLLER_WOKEN)) {
        int saved = errno;
        poller_destroy(p);
        errno = saved;
        return NULL;
    }
    return p;
}

void poller_destroy(struct poller *p)
{
    if (p == NULL)
        return;
    int fds[] = {p->queue, p->kick, p->wake, p->timer};
    for (int i = 0; i < 4; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(p);
}

enum { INPUT = EPOLLIN | EPOLLRDHUP };

bool poller_add(struct poller *p, int fd, uint32_t cookie, bool output)
{
    return watch(p, fd, INPUT | (output ? EPOLLOUT : 0) | EPOLLET, cookie);
}

/* A change announces what is there already, too. */
bool poller_watch_output(struct poller *p, int fd, uint32_t cookie, bool output)
{
    return control(p, EPOLL_CTL_MOD, fd, INPUT | (output ? EPOLLOUT : 0) | EPOLLET,
                   cookie);
}

bool poller_watch_once(struct poller *p, int fd, uint32_t cookie, bool input, bool output)
{
    return watch(p, fd, (input ? EPOLLIN : 0) | (output ? EPOLLOUT : 0) | EPOLLONESHOT,
                 cookie);
}

void poller_forget(struct poller *p, int fd)
{
    control(p, EPOLL_CTL_DEL, fd, 0, 0);
}

void poller_set_timer(struct poller *p, int64_t moment)
{
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(moment / 1000000000),
                                         .tv_nsec = (long)(moment % 1000000000)}};
    if (moment <= 0)
        at.it_value = (struct timespec){.tv_nsec = 1}; /* all zero would be no moment */
    timerfd_settime(p->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

int poller_wait(struct poller *p, int timeout, struct poller_event *event)
{
    struct epoll_event e;
    int n = epoll_wait(p->queue, &e, 1, timeout);
    if (n > 0) {
        event->cookie = (uint32_t)e.data.u64;
        event->hangup = e.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
    }
    return n < 0 && errno == EINTR ? 0 : n;
}

static void announce(int fd)
{
    uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) {
    }
}

void poller_kick(struct poller *p)
{
    announce(p->kick);
}

void poller_wake_all(struct poller *p)
{
    announce(p->wake);
}

#else

#include <sys/types.h>

#include "base/clock.h"
#include <sys/event.h>
#include <sys/time.h>

/* Pipes, not EVFILT_USER, which some kqueues do not have. [0] is read, [1] written. */
struct poller {
    int queue, kick[2], wake[2];
};

static void prepare(struct kevent *e, int fd, short filter, unsigned short flags,
                    uint32_t cookie)
{
    EV_SET(e, (uintptr_t)fd, filter, (unsigned short)(EV_ADD | flags), 0, 0, NULL);
    e->udata =
        (void *)(uintptr_t)cookie; /* an integer in some headers, a pointer in most */
}

static bool watch(struct poller *p, int fd, unsigned short flags, uint32_t cookie)
{
    struct kevent e;
    prepare(&e, fd, EVFILT_READ, flags, cookie);
    return kevent(p->queue, &e, 1, NULL, 0, NULL) == 0;
}

static bool make_pipe(int fds[2])
{
    if (pipe(fds) != 0) {
        fds[0] = fds[1] = -1;
        return false;
    }
    for (int i = 0; i < 2; i++)
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0 ||
            fcntl(fds[i], F_SETFL, O_NONBLOCK) != 0)
            return false;
    return true;
}

struct poller *poller_create(void)
{
    struct poller *p = malloc(sizeof *p);
    if (p == NULL)
        return NULL;
    *p = (struct poller){.kick = {-1, -1}, .wake = {-1, -1}};
    p->queue = kqueue();
    if (p->queue < 0 || !make_pipe(p->kick) || !make_pipe(p->wake) ||
        fcntl(p->queue, F_SETFD, FD_CLOEXEC) != 0 ||
        !watch(p, p->kick[0], EV_CLEAR, POLLER_KICKED) ||
        !watch(p, p->wake[0], 0, POLLER_WOKEN)) {
        int saved = errno;
        poller_destroy(p);
        errno = saved;
        return NULL;
    }
    return p;
}

void poller_destroy(struct poller *p)
{
    if (p == NULL)
        return;
    int fds[] = {p->queue, p->kick[0], p->kick[1], p->wake[0], p->wake[1]};
    for (int i = 0; i < 5; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    free(p);
}

bool poller_add(struct poller *p, int fd, uint32_t cookie, bool output)
{
    struct kevent e[2];
    prepare(&e[0], fd, EVFILT_READ, EV_CLEAR, cookie);
    prepare(&e[1], fd, EVFILT_WRITE, EV_CLEAR, cookie);
    return kevent(p->queue, e, output ? 2 : 1, NULL, 0, NULL) == 0;
}

bool poller_watch_output(struct poller *p, int fd, uint32_t cookie, bool output)
{
    struct kevent e;
    prepare(&e, fd, EVFILT_WRITE, EV_CLEAR, cookie);
    if (!output)
        e.flags = EV_DELETE;
    return kevent(p->queue, &e, 1, NULL, 0, NULL) == 0;
}

static bool apply(struct poller *p, struct kevent *e)
{
    return kevent(p->queue, e, 1, NULL, 0, NULL) == 0;
}

bool poller_watch_once(struct poller *p, int fd, uint32_t cookie, bool input, bool output)
{
    struct kevent e[2];
    prepare(&e[0], fd, EVFILT_READ, EV_ONESHOT, cookie);
    prepare(&e[1], fd, EVFILT_WRITE, EV_ONESHOT, cookie);
    return (!input || apply(p, &e[0])) && (!output || apply(p, &e[1]));
}

void poller_forget(struct poller *p, int fd)
{
    struct kevent e;
    EV_SET(&e, (uintptr_t)fd, EVFILT_READ, EV_DELETE, 0, 0, NULL);
    apply(p, &e);
    EV_SET(&e, (uintptr_t)fd, EVFILT_WRITE, EV_DELETE, 0, 0, NULL);
    apply(p, &e);
}

/* A timer that is added again keeps its old moment on some systems. */
void poller_set_timer(struct poller *p, int64_t moment)
{
    struct kevent e;
    int64_t left = moment - clock_nanoseconds();
    EV_SET(&e, 0, EVFILT_TIMER, EV_DELETE, 0, 0, NULL);
    apply(p, &e);
    EV_SET(&e, 0, EVFILT_TIMER, EV_ADD | EV_ONESHOT, 0,
           left <= 0 ? 1 : (left + 999999) / 1000000, NULL);
    e.udata = (void *)(uintptr_t)POLLER_TIMER;
    apply(p, &e);
}

int poller_wait(struct poller *p, int timeout, struct poller_event *event)
{
    struct timespec limit = {.tv_sec = timeout / 1000,
                             .tv_nsec = timeout % 1000 * 1000000L};
    struct kevent e;
    int n = kevent(p->queue, NULL, 0, &e, 1, timeout < 0 ? NULL : &limit);
    if (n <= 0)
        return n < 0 && errno == EINTR ? 0 : n;
    event->cookie = (uint32_t)(uintptr_t)e.udata;
    event->hangup = e.flags & EV_EOF;
    if (event->cookie == POLLER_KICKED) {
        char bytes[64]; /* keeps the pipe from filling up; each write is an event */
        while (read(p->kick[0], bytes, sizeof bytes) > 0) {
        }
    }
    return n;
}

static void announce(int fd)
{
    while (write(fd, "", 1) < 0 && errno == EINTR) {
    }
}

void poller_kick(struct poller *p)
{
    announce(p->kick[1]);
}

void poller_wake_all(struct poller *p)
{
    announce(p->wake[1]);
}

#endif

/* Both kinds of queue are descriptors that can be read while there are events. */
bool poller_look(struct poller *p, int timeout)
{
    struct pollfd queue = {.fd = p->queue, .events = POLLIN};
    return poll(&queue, 1, timeout) > 0;
}
