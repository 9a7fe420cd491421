/* kqueue(2) for Linux, as far as the daemon's poller uses it, so that what runs on the
 * BSDs can be compiled and tested where there is no libkqueue: `make POLLER=kqueue`.
 *
 * EVFILT_READ, added once and kept until its descriptor is closed, with or without
 * EV_CLEAR, and EVFILT_WRITE beside it, which may be deleted again; EV_EOF is reported.
 * Both also with EV_ONESHOT, then EV_DELETE is for both, and EVFILT_TIMER with
 * EV_ONESHOT, of milliseconds, one for each queue.
 * Anything else is refused with EINVAL, so that a poller which begins to use more fails
 * here and does not pass by accident. */
#ifndef LUAFCGID2_TESTS_SYS_EVENT_H
#define LUAFCGID2_TESTS_SYS_EVENT_H

#include <stdint.h>
#include <time.h>

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_TIMER (-7)

#define EV_ADD     0x0001
#define EV_DELETE  0x0002
#define EV_ONESHOT 0x0010
#define EV_CLEAR   0x0020 /* an arrival is told of once, not as long as bytes are there */
#define EV_EOF     0x8000

struct kevent {
    uintptr_t ident;
    short filter;
    unsigned short flags;
    unsigned int fflags;
    int64_t data; /* bytes that can be read, at least 1 for the end of the stream */
    void *udata;  /* here: at most 32 bits of it */
};

#define EV_SET(e, i, f, fl, ff, d, u)                                                    \
    (*(e) = (struct kevent){.ident = (i),                                                \
                            .filter = (f),                                               \
                            .flags = (fl),                                               \
                            .fflags = (ff),                                              \
                            .data = (d),                                                 \
                            .udata = (u)})

/* Both fail with -1 and errno, as kqueue(2) says. */
int kqueue(void);
int kevent(int queue, const struct kevent *changes, int change_count,
           struct kevent *events, int event_count, const struct timespec *timeout);

#endif
