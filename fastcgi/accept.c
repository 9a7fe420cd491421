/* How connections come in from the listening socket, and what is done when slots,
 * descriptors or memory run out.
 *
 * Runs in workers, and in the thread that stops the daemon. Several workers may accept at
 * once. The lock is taken only inside fastcgi/slot.c.
 *
 * The poller tells of the listening socket once, however many peers wait. The worker that
 * gets this event accepts until no peer waits. If it cannot go on, it leaves a mark:
 * `accept_again`, with a kick for another worker, or `paused`, after which
 * connection_wait tries every RETRY_TIME. */
#include "fastcgi/accept.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/reserve.h"
#include "fastcgi/listener.h"
#include "fastcgi/look.h"
#include "fastcgi/poller.h"
#include "fastcgi/sweep.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum {
    MAX_FAILURES = 8,  /* of accept in a row */
    ACCEPT_BURST = 64, /* accepted while a request waits for this worker */
};

/* -- When something runs out -- */

/* Whether a peer waits to be accepted. If none does, no connection is closed to make
 * room. */
static bool anyone_waits(struct connections *set)
{
    return !atomic_load(&set->stopping) && set->listener >= 0 &&
           listener_ready(set->listener);
}

/* Nothing can be accepted now. No event will tell when that changes, so connection_wait
 * tries again and again. The kick wakes a worker that waits without a time limit: it then
 * waits for RETRY_TIME. */
static void pause_accepting(struct connections *set)
{
    atomic_store(&set->last_try, clock_ticks());
    atomic_store(&set->accept_again, false);
    if (!atomic_exchange(&set->paused, true))
        poller_kick(set->poller);
}

/* A free slot. If there is none, another connection is closed for it. NULL: no peer
 * waits, or no connection may be closed. */
static struct connection *find_slot(struct connections *set)
{
    struct connection *c = slot_take(set);
    if (c != NULL)
        return c;
    if (!anyone_waits(set)) {
        atomic_store(&set->paused, false);
        return NULL;
    }
    sweep_note_failure(set, 0);
    while (c == NULL && sweep_make_room(set))
        c = slot_take(set);
    if (c == NULL)
        pause_accepting(set);
    return c;
}

/* true: a connection was closed, so a descriptor is free. */
static bool out_of_descriptors(struct connections *set, int error, bool make_free)
{
    sweep_note_failure(set, error);
    if (make_free && sweep_make_room(set))
        return true;
    pause_accepting(set);
    return false;
}

/* After a failed accept: whether to try again at once. `failures` counts the failures in
 * a row. If the whole system lacks descriptors, closing our connections does not help, so
 * only a few are closed for it. */
static bool accept_failed(struct connections *set, int error, int failures)
{
    switch (error) {
    case EAGAIN:
#if EWOULDBLOCK != EAGAIN
    case EWOULDBLOCK:
#endif
    case EBADF:
    case ENOTSOCK:
        atomic_store(&set->paused, false);
        return false;
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        return out_of_descriptors(set, error, failures < MAX_FAILURES);
    case EINTR:
    case ECONNABORTED:
        return true; /* that peer went away before it was accepted */
    default:
        if (failures >= MAX_FAILURES) {
            if (slots_may_log_fault(set))
                log_warning("cannot accept: %s", strerror(error));
            pause_accepting(set);
            return false;
        }
        return true; /* on Linux it may be a network error of that peer */
    }
}

/* -- Accepting -- */

/* -1 with errno; EAGAIN when nobody waits, EBADF when stopped. */
static int accept_one(struct connections *set)
{
    if (atomic_load(&set->stopping) || set->listener < 0) {
        errno = EBADF;
        return -1;
    }
    return listener_accept(set->listener, set->peers);
}

/* Once one connection with a request is found, the others are deferred: this costs no
 * system call for each, and any worker may take them. With a request in hand this worker
 * accepts no more than a burst; another worker goes on. */
struct connection *accept_waiting(struct connections *set, struct connection_reader *r)
{
    struct connection *kept = NULL, *c;
    int accepted = 0, failures = 0;
    bool left = false;
    while ((c = find_slot(set)) != NULL) {
        int fd = accepted < ACCEPT_BURST || !kept ? accept_one(set) : -1;
        if (fd < 0) {
            int error = errno;
            slot_return(set, c);
            if (accepted >= ACCEPT_BURST && kept != NULL) {
                atomic_store(&set->accept_again, true);
                poller_kick(set->poller);
                break;
            }
            if (!accept_failed(set, error, ++failures))
                break;
            continue;
        }
        accepted++;
        failures = 0;
        slot_open(set, c, fd);
        if (kept != NULL) {
            slot_enqueue(set, c);
            left = true;
        } else if (look_at(set, r, c)) {
            kept = c;
        }
    }
    if (left)
        poller_kick(set->poller);
    return kept;
}

struct connection *accept_retry(struct connections *set, struct connection_reader *r)
{
    unsigned now = clock_ticks();
    bool due = atomic_load(&set->paused) &&
               slot_elapsed(now, atomic_load(&set->last_try)) >= RETRY_TIME;
    if (!atomic_exchange(&set->accept_again, false) && !due)
        return NULL;
    atomic_store(&set->last_try, now);
    return accept_waiting(set, r);
}

/* -- For others -- */

/* What runs out is a worker's to deal with. */
void accept_for_others(struct connections *set)
{
    struct connection *c;
    while ((c = slot_take(set)) != NULL) {
        int fd = accept_one(set);
        if (fd < 0) {
            int error = errno;
            slot_return(set, c);
            if (error == EINTR || error == ECONNABORTED)
                continue;
            if (error == EAGAIN || error == EWOULDBLOCK || error == EBADF)
                return;
            break;
        }
        slot_open(set, c, fd);
        slot_sort_out(set, c);
    }
    atomic_store(&set->accept_again, true);
}

bool accept_is_due(struct connections *set)
{
    return (atomic_load(&set->accept_again) || atomic_load(&set->paused)) &&
           anyone_waits(set);
}

/* -- The last -- */

/* From now on every new peer is refused at once. Another thread may be about to accept,
 * so the number of the descriptor must stay in use: /dev/null gets it, on which accept
 * fails. */
static void close_listener(struct connections *set)
{
    int fd = set->listener < 0 ? -1 : reserve_open("/dev/null", O_RDONLY | O_CLOEXEC, 0);
    if (fd >= 0) {
        dup2(fd, set->listener);
        fcntl(set->listener, F_SETFD, FD_CLOEXEC);
        reserve_close(fd);
    }
}

static void take_who_waits(struct connections *set)
{
    struct connection *c;
    while (set->listener >= 0 && (c = slot_take(set)) != NULL) {
        int fd = listener_accept(set->listener, set->peers);
        if (fd < 0) {
            slot_return(set, c);
            return;
        }
        slot_open(set, c, fd);
        slot_enqueue(set, c);
    }
}

void accept_last(struct connections *set)
{
    take_who_waits(set);
    close_listener(set);
}
