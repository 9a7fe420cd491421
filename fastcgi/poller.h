/* One set of descriptors that all workers wait on: epoll on Linux, kqueue on the BSDs.
 *
 * A descriptor is added once and stays until it is closed. Events are edge-triggered:
 * each arrival of bytes, or the peer's closing, wakes one waiter once. Whoever gets an
 * event reads until the socket is empty, or makes sure that another thread will. An event
 * of a descriptor that was closed meanwhile may still come. The caller must see that by
 * the cookie, or the event must do no harm.
 *
 * All functions but create and destroy may be called from any thread at any time. */
#ifndef LUAFCGID2_FASTCGI_POLLER_H
#define LUAFCGID2_FASTCGI_POLLER_H

#include <stdbool.h>
#include <stdint.h>

struct poller;

/* Cookies of the poller itself; the caller uses others. */
#define POLLER_KICKED UINT32_MAX
#define POLLER_WOKEN  (UINT32_MAX - 1)
#define POLLER_TIMER  (UINT32_MAX - 3)

struct poller_event {
    uint32_t cookie;
    bool hangup; /* the peer closed its side, or the connection broke */
};

/* NULL with errno. */
struct poller *poller_create(void);
void poller_destroy(struct poller *p);

/* Watches `fd` for input, and with `output` for room to write. What is there already
 * counts as an arrival. false with errno. */
bool poller_add(struct poller *p, int fd, uint32_t cookie, bool output);

/* From now on `fd`, which was added before, is also watched for room to write, or not any
 * more. What is there already counts as an arrival. */
bool poller_watch_output(struct poller *p, int fd, uint32_t cookie, bool output);

/* Watches `fd`, which is not watched yet, until it can be read or written, as wanted.
 * That is one event; then the descriptor is to be forgotten. false with errno, EPERM for
 * what never waits, such as a plain file. */
bool poller_watch_once(struct poller *p, int fd, uint32_t cookie, bool input,
                       bool output);

/* No more events of what poller_watch_once watches; before `fd` is closed. */
void poller_forget(struct poller *p, int fd);

/* One wait, now or later, returns POLLER_TIMER once the moment has come, nanoseconds of
 * base/clock.h. Replaces the moment of the last call. */
void poller_set_timer(struct poller *p, int64_t moment);

/* Waits at most `timeout` milliseconds (< 0: for ever) for one event. One at a time, so
 * that no worker holds events that another could serve. 1: `event` has it. 0: time is
 * over, or a signal came. -1 with errno. */
int poller_wait(struct poller *p, int timeout, struct poller_event *event);

/* Makes one wait, now or the next, return POLLER_KICKED. Kicks may coalesce. */
void poller_kick(struct poller *p);

/* Makes every wait from now on return at once, sooner or later with POLLER_WOKEN. */
void poller_wake_all(struct poller *p);

/* Whether there is an event that nobody has taken, waited for at most `timeout`
 * milliseconds (< 0: for ever). Takes none; also true when the poller is awake for good.
 */
bool poller_look(struct poller *p, int timeout);

#endif
