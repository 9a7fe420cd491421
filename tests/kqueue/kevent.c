/* kqueue(2) over epoll(7): see sys/event.h.
 *
 * Any thread. The queue is an epoll descriptor; the timer of each is kept by its number,
 * under `lock`, and for the next queue of that number. The kernel
 * keeps 64 bits for each watched descriptor: half of them say which it is, the other half
 * are the caller's udata. */
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/event.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

enum { MAX_EVENTS = 16, MAX_QUEUE = 1024 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int timers[MAX_QUEUE]; /* by the queue; 0: none. Under the lock */

int kqueue(void)
{
    return epoll_create1(0);
}

static int timer_of(int queue, struct epoll_event *e)
{
    if (queue >= MAX_QUEUE) {
        errno = EMFILE;
        return -1;
    }
    pthread_mutex_lock(&lock);
    if (timers[queue] == 0)
        timers[queue] = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    int timer = timers[queue];
    e->data.u64 |= (uint64_t)timer << 32;
    if (epoll_ctl(queue, EPOLL_CTL_MOD, timer, e) < 0)
        epoll_ctl(queue, EPOLL_CTL_ADD, timer, e);
    pthread_mutex_unlock(&lock);
    return timer;
}

static int set_timer(int queue, const struct kevent *change)
{
    int64_t ms = change->flags & EV_DELETE ? 0 : change->data;
    struct itimerspec in = {.it_value = {ms / 1000, ms % 1000 * 1000000}};
    struct epoll_event e = {.events = EPOLLIN | EPOLLET,
                            .data.u64 = (uintptr_t)change->udata};
    int timer = change->flags & EV_DELETE ? timers[queue] : timer_of(queue, &e);
    return timer <= 0 ? -1 : timerfd_settime(timer, 0, &in, NULL);
}

/* Of a descriptor that is added for one event, to read or to write, one after the other,
 * and then deleted. */
static int apply_once(int queue, const struct kevent *change)
{
    int fd = (int)change->ident;
    struct epoll_event e = {.events = EPOLLONESHOT,
                            .data.u64 =
                                (uint64_t)fd << 32 | (uintptr_t)change->udata};
    if (change->flags & EV_DELETE)
        return epoll_ctl(queue, EPOLL_CTL_DEL, fd, &e);
    e.events |= change->filter == EVFILT_WRITE ? EPOLLOUT : EPOLLIN;
    if (epoll_ctl(queue, EPOLL_CTL_ADD, fd, &e) == 0)
        return 0;
    if (errno != EEXIST)
        return -1;
    e.events |= EPOLLIN | EPOLLOUT;
    return epoll_ctl(queue, EPOLL_CTL_MOD, fd, &e);
}

static int apply(int queue, const struct kevent *change)
{
    if (change->filter == EVFILT_TIMER)
        return set_timer(queue, change);
    if (change->flags & EV_ONESHOT ||
        (change->flags & EV_DELETE && change->filter == EVFILT_READ))
        return apply_once(queue, change);
    unsigned flags = change->flags & (unsigned)~EV_CLEAR;
    uintptr_t udata = (uintptr_t)change->udata;
    bool output = change->filter == EVFILT_WRITE; /* after EVFILT_READ */
    bool deletes = output && flags == EV_DELETE;
    if ((change->filter != EVFILT_READ && !output) || (flags != EV_ADD && !deletes) ||
        change->fflags != 0 || udata > UINT32_MAX || change->ident > INT_MAX) {
        errno = EINVAL;
        return -1;
    }
    struct epoll_event e = {.events = EPOLLIN | EPOLLRDHUP,
                            .data.u64 = (uint64_t)change->ident << 32 | udata};
    if (output && !deletes)
        e.events |= EPOLLOUT;
    if (deletes || change->flags & EV_CLEAR) /* EVFILT_READ has it, too */
        e.events |= EPOLLET;
    return epoll_ctl(queue, output ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, (int)change->ident,
                     &e);
}

static void report(const struct epoll_event *e, struct kevent *event)
{
    int fd = (int)(e->data.u64 >> 32), bytes = 0;
    ioctl(fd, FIONREAD, &bytes); /* it may be closed by now */
    EV_SET(event, (uintptr_t)fd, EVFILT_READ, 0, 0, bytes > 0 ? bytes : 1,
           (void *)(uintptr_t)(e->data.u64 & UINT32_MAX));
    if (e->events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        event->flags = EV_EOF;
}

/* Milliseconds, rounded up: a wait must not end before its time. */
static int wait_time(const struct timespec *timeout)
{
    if (!timeout)
        return -1;
    long long ms =
        (long long)timeout->tv_sec * 1000 + (timeout->tv_nsec + 999999) / 1000000;
    return ms > INT_MAX ? INT_MAX : (int)ms;
}

int kevent(int queue, const struct kevent *changes, int change_count,
           struct kevent *events, int event_count, const struct timespec *timeout)
{
    for (int i = 0; i < change_count; i++)
        if (apply(queue, &changes[i]) < 0)
            return -1;
    if (event_count <= 0)
        return 0;
    struct epoll_event ready[MAX_EVENTS];
    int n = epoll_wait(queue, ready, event_count < MAX_EVENTS ? event_count : MAX_EVENTS,
                       wait_time(timeout));
    for (int i = 0; i < n; i++)
        report(&ready[i], &events[i]);
    return n;
}
