/* The set of connections: accepting, waiting for heads, deadlines, closing.
 *
 * Runs in every worker (connection_wait, connection_release), in the heartbeat thread
 * (connections_sweep) and wherever the stop comes from. Owns a table of slots made at the
 * start, the poller, the listening socket, and every descriptor in a slot.
 *
 * Who may touch a connection is said by one atomic word, generation << 3 | state:
 *
 *     FREE        in the free list
 *     PARKED      in the poller and nobody's: who moves it to BUSY is its owner
 *     ADDING      as PARKED, but only for who got its event: the sweep and the eviction
 *                 keep away, so that the descriptor cannot be closed, and its number used
 *                 again, under the epoll_ctl(2) that is about to add it
 *     BUSY        owned
 *     BUSY_AGAIN  owned, and an event came: the owner looks again before it parks
 *
 * So no event is lost, none starts two workers, and a connection never needs a system
 * call to be parked or taken. The generation counts the uses of a slot: the event of a
 * closed connection that comes late meets another generation and is dropped.
 *
 * The request path takes no lock. `set->lock`, a leaf, guards the free list and the list
 * of deferred connections. */
#include "connection_private.h"

#include "clock.h"
#include "listener.h"
#include "log.h"
#include "poller.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { FREE, PARKED, ADDING, BUSY, BUSY_AGAIN };

enum {
    STATE_BITS = 3,
    STATE_MASK = (1 << STATE_BITS) - 1,
    INDEX_BITS = 20, /* of a cookie; the rest is the low bits of the generation */
    INDEX_MASK = (1 << INDEX_BITS) - 1,
    MAX_SLOTS = 1000000, /* leaves cookies at the end for others */
    FIRST_PENDING = 2048,
    LAST_HEAD_TIME = 1000, /* ms that a head may take once the daemon stops */
    STOP_NAP = 5,          /* ms between looks then */
    RETRY_TIME = 50,       /* ms between attempts to accept when something ran out */
    MAX_FAILURES = 8,      /* of accept in a row */
    ACCEPT_BURST = 64,     /* accepted while a request waits for this worker */
    MAX_STREAK = 16,       /* requests of one connection in a row */
    LOOK_ROUNDS = 32,      /* reads in one look */
    FAULTS_PER_SECOND = 5,
    STARVED_TIME = 5000, /* ms without a failed accept, after which that is over */
};

#define LISTENER_COOKIE (UINT32_MAX - 2)

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "the state word must be lock-free");

struct connections {
    /* immutable */
    struct connection *table;
    size_t size, max_head;
    unsigned workers;
    struct poller *poller;
    struct listener_peers *peers; /* NULL: anyone may connect */
    bool tcp;

    int listener; /* a stop puts another file behind this number */

    pthread_mutex_t lock;
    struct connection *free;
    atomic_size_t used; /* slots of the table that ever were; the rest is untouched memory.
                           Written under the lock */
    struct connection *deferred, **deferred_end;
    atomic_bool any_deferred; /* read without the lock */

    atomic_uint limits[KIND_LINGER + 1]; /* ms that each kind may wait; 0: for ever */
    atomic_bool stopping;
    atomic_uint count;
    atomic_bool accept_again;   /* more may wait in the listening socket's queue */
    atomic_bool paused;         /* something ran out: accept is tried every RETRY_TIME */
    atomic_bool starved;        /* that was logged */
    atomic_uint last_try;       /* ms, while paused */
    atomic_uint last_failure;   /* ms */
    atomic_uint faults, second; /* lines logged, in which second */
};

enum look { LOOK_GONE, LOOK_COMPLETE, LOOK_MORE, LOOK_LINGER, LOOK_CLOSE };

static enum look look(struct connections *set, struct connection_reader *r,
                      struct connection *c);

unsigned connections_limit(const struct connections *set)
{
    return (unsigned)set->size;
}

unsigned connections_workers(const struct connections *set)
{
    return set->workers;
}

size_t connections_max_head(const struct connections *set)
{
    return set->max_head;
}

size_t connections_count(const struct connections *set)
{
    return atomic_load(&((struct connections *)set)->count);
}

/* Threads read the clock at different moments: a start in the future is now. */
static unsigned elapsed(unsigned now, unsigned since)
{
    return now - since > UINT32_MAX / 2 ? 0 : now - since;
}

/* Whether one more line about a peer's fault may go to the log in this second. */
static bool may_log_fault(struct connections *set)
{
    unsigned second = clock_ticks() / 1000;
    if (atomic_exchange(&set->second, second) != second) {
        atomic_store(&set->faults, 0);
    }
    return atomic_fetch_add(&set->faults, 1) < FAULTS_PER_SECOND;
}

#define log_fault(set, level, ...)                                                       \
    do {                                                                                 \
        if (may_log_fault(set)) {                                                        \
            log_write(level, __VA_ARGS__);                                               \
        }                                                                                \
    } while (0)

/* -- Slots -- */

static unsigned state_of(unsigned word)
{
    return word & STATE_MASK;
}

static unsigned with_state(unsigned word, unsigned state)
{
    return (word & ~(unsigned)STATE_MASK) | state;
}

/* Moves from one state to another. false: somebody else moved it before. */
static bool change(struct connection *c, unsigned from, unsigned to)
{
    unsigned word = atomic_load(&c->word);
    return state_of(word) == from &&
           atomic_compare_exchange_strong(&c->word, &word, with_state(word, to));
}

static uint32_t cookie_of(const struct connections *set, struct connection *c)
{
    unsigned generation = atomic_load(&c->word) >> STATE_BITS;
    return (uint32_t)(c - set->table) | (uint32_t)generation << INDEX_BITS;
}

static void forget_pending(struct connection *c)
{
    free(c->pending);
    c->pending = NULL;
    c->pending_len = c->pending_cap = 0;
}

static struct connection *take_slot(struct connections *set)
{
    pthread_mutex_lock(&set->lock);
    struct connection *c = set->free;
    size_t used = atomic_load(&set->used);
    if (c) {
        set->free = c->next;
    } else if (used < set->size) {
        c = &set->table[used];
        c->fd = -1;
        atomic_store(&set->used, used + 1);
    }
    pthread_mutex_unlock(&set->lock);
    return c;
}

static void return_slot(struct connections *set, struct connection *c)
{
    pthread_mutex_lock(&set->lock);
    c->next = set->free;
    set->free = c;
    pthread_mutex_unlock(&set->lock);
}

/* By the owner. The generation moves on, so a late event finds nothing. */
static void close_connection(struct connections *set, struct connection *c)
{
    forget_pending(c);
    close(c->fd);
    c->fd = -1;
    unsigned word = atomic_load(&c->word);
    word += 1u << STATE_BITS;
    atomic_store(&c->word, with_state(word, FREE));
    atomic_fetch_sub(&set->count, 1);
    return_slot(set, c);
    if (atomic_load(&set->paused)) {
        atomic_store(&set->accept_again, true);
    }
}

/* A free slot becomes a connection of the caller. */
static void open_slot(struct connections *set, struct connection *c, int fd)
{
    c->fd = fd;
    c->added = c->again = c->keep = c->ended = false;
    c->output = CONNECTION_OK;
    c->reader = NULL;
    c->head = (struct record_head){0};
    atomic_store_explicit(&c->since, clock_ticks(), memory_order_relaxed);
    atomic_store_explicit(&c->kind, KIND_HEAD, memory_order_relaxed);
    atomic_store(&c->word, with_state(atomic_load(&c->word), BUSY));
    atomic_fetch_add(&set->count, 1);
}

static void set_kind(struct connection *c, enum connection_kind kind)
{
    atomic_store_explicit(&c->kind, (unsigned char)kind, memory_order_relaxed);
    atomic_store_explicit(&c->since, clock_ticks(), memory_order_relaxed);
}

static enum connection_kind kind_of(struct connection *c)
{
    return (enum connection_kind)atomic_load_explicit(&c->kind, memory_order_relaxed);
}

/* -- Parking -- */

static struct connection *take_deferred(struct connections *set, bool *more)
{
    pthread_mutex_lock(&set->lock);
    struct connection *c = set->deferred;
    if (c) {
        set->deferred = c->next;
        if (!c->next) {
            set->deferred_end = &set->deferred;
        }
    }
    *more = set->deferred != NULL;
    atomic_store(&set->any_deferred, *more);
    pthread_mutex_unlock(&set->lock);
    return c;
}

/* Left to any worker that comes by, behind what waits already. */
static void enqueue(struct connections *set, struct connection *c)
{
    c->next = NULL;
    pthread_mutex_lock(&set->lock);
    *set->deferred_end = c;
    set->deferred_end = &c->next;
    atomic_store(&set->any_deferred, true);
    pthread_mutex_unlock(&set->lock);
}

/* The same, and a worker is woken for it. That one wakes the next, if there are more. */
static void defer(struct connections *set, struct connection *c)
{
    enqueue(set, c);
    poller_kick(set->poller);
}

/* A stop closes what is parked, once, unless it waits for its first request. What is
 * parked later closes itself: either the stop saw it PARKED, or this sees the stop (both
 * are sequentially consistent). */
static void close_if_stopping(struct connections *set, struct connection *c)
{
    if (atomic_load(&set->stopping) && kind_of(c) != KIND_HEAD &&
        change(c, PARKED, BUSY)) {
        close_connection(set, c);
    }
}

/* The poller does not have it yet. Its event may come before epoll_ctl has returned: then
 * the last change fails, and it is another worker's already. */
static void park_first(struct connections *set, struct connection *c)
{
    int fd = c->fd;
    uint32_t cookie = cookie_of(set, c);
    c->added = true;
    c->again = false; /* adding announces whatever is there */
    unsigned word = with_state(atomic_load(&c->word), ADDING);
    atomic_store(&c->word, word);
    bool added = poller_add(set->poller, fd, cookie);
    int error = errno;
    if (!atomic_compare_exchange_strong(&c->word, &word,
                                        with_state(word, added ? PARKED : BUSY))) {
        return;
    }
    if (added) {
        close_if_stopping(set, c);
        return;
    }
    log_fault(set, LOG_LEVEL_WARNING, "cannot watch a connection: %s", strerror(error));
    close_connection(set, c);
}

/* false: an event came meanwhile, `c` is still the caller's and must be looked at. */
static bool park(struct connections *set, struct connection *c)
{
    if (!c->added) {
        park_first(set, c);
        return true;
    }
    if (change(c, BUSY, PARKED)) {
        close_if_stopping(set, c);
        return true;
    }
    change(c, BUSY_AGAIN, BUSY);
    c->again = true;
    return false;
}

/* Between requests: parks, or sees to it that bytes which are there already are looked
 * at, soon but not before everybody else's for ever. */
static void park_or_again(struct connections *set, struct connection_reader *r,
                          struct connection *c)
{
    if (!c->again && !c->pending && park(set, c)) {
        return;
    }
    if (r && !r->next && r->streak < MAX_STREAK) {
        r->streak++;
        r->next = c;
    } else {
        defer(set, c);
    }
}

/* -- Deadlines and room -- */

static void set_limits(struct connections *set, const struct config *config)
{
    atomic_store(&set->limits[KIND_HEAD], (unsigned)config->read_timeout);
    atomic_store(&set->limits[KIND_IDLE], (unsigned)config->keep_alive_timeout);
    atomic_store(&set->limits[KIND_DRAIN], CLOSING_TIME);
    atomic_store(&set->limits[KIND_LINGER], CLOSING_TIME);
}

/* Whether a waiting connection is late. */
static bool is_late(struct connections *set, struct connection *c, unsigned now)
{
    enum connection_kind kind = kind_of(c);
    unsigned limit = atomic_load(&set->limits[kind]);
    if (kind == KIND_HEAD && atomic_load(&set->stopping) &&
        (limit == 0 || limit > LAST_HEAD_TIME)) {
        limit = LAST_HEAD_TIME;
    }
    unsigned since = atomic_load_explicit(&c->since, memory_order_relaxed);
    return limit > 0 && elapsed(now, since) >= limit;
}

static void close_late(struct connections *set, struct connection *c)
{
    if (kind_of(c) == KIND_HEAD) {
        log_fault(set, LOG_LEVEL_INFO,
                  "connection closed: no whole request came within ReadTimeout");
    } else {
        log_debug("connection closed: idle");
    }
    close_connection(set, c);
}

/* What was read before the connection was owned may have changed: asked again after. */
static void sweep_one(struct connections *set, struct connection *c, unsigned now)
{
    if (state_of(atomic_load(&c->word)) != PARKED || !is_late(set, c, now) ||
        !change(c, PARKED, BUSY)) {
        return;
    }
    if (is_late(set, c, now)) {
        close_late(set, c);
    } else {
        park_or_again(set, NULL, c);
    }
}

static void check_recovery(struct connections *set, unsigned now)
{
    if (atomic_load(&set->starved) && !atomic_load(&set->paused) &&
        elapsed(now, atomic_load(&set->last_failure)) > STARVED_TIME) {
        atomic_store(&set->starved, false);
        log_warning("connections are accepted without trouble again");
    }
}

void connections_sweep(struct connections *set, const struct config *config)
{
    unsigned now = clock_ticks();
    set_limits(set, config);
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        sweep_one(set, &set->table[i], now);
    }
    check_recovery(set, now);
}

/* The parked connection that is missed least: idle ones first, then those on their way
 * out, then heads that do not come; of one kind, the one that has waited longest. A head
 * gets a moment to come, or a crowd of newcomers would put each other out. */
static struct connection *find_victim(struct connections *set)
{
    static const unsigned char rank[] = {
        [KIND_HEAD] = 1, [KIND_IDLE] = 3, [KIND_DRAIN] = 2, [KIND_LINGER] = 2};
    unsigned now = clock_ticks(), best_rank = 0, best_time = 0;
    struct connection *best = NULL;
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        struct connection *c = &set->table[i];
        if (state_of(atomic_load(&c->word)) != PARKED) {
            continue;
        }
        unsigned waited =
            elapsed(now, atomic_load_explicit(&c->since, memory_order_relaxed));
        enum connection_kind kind = kind_of(c);
        if (kind == KIND_HEAD && waited < RETRY_TIME) {
            continue;
        }
        unsigned r = rank[kind];
        if (r > best_rank || (r == best_rank && waited >= best_time)) {
            best = c;
            best_rank = r;
            best_time = waited;
        }
    }
    return best;
}

/* Closes one parked connection. false: there is none. */
static bool make_room(struct connections *set)
{
    struct connection *c;
    while ((c = find_victim(set)) != NULL) {
        if (change(c, PARKED, BUSY)) {
            close_connection(set, c);
            return true;
        }
    }
    return false;
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

/* Is anybody waiting? Asked before a connection is closed to make room for them. */
static bool anyone_waits(struct connections *set)
{
    return !atomic_load(&set->stopping) && set->listener >= 0 &&
           listener_ready(set->listener);
}

/* Nothing can be accepted now. No event will say when it can: connection_wait tries. The
 * kick makes a worker that waits for ever wait for RETRY_TIME instead. */
static void pause_accepting(struct connections *set)
{
    atomic_store(&set->last_try, clock_ticks());
    atomic_store(&set->accept_again, false);
    if (!atomic_exchange(&set->paused, true)) {
        poller_kick(set->poller);
    }
}

static void note_failure(struct connections *set, const char *what)
{
    atomic_store(&set->last_failure, clock_ticks());
    if (!atomic_exchange(&set->starved, true)) {
        log_warning("%s: idle connections are closed to make room", what);
    }
}

/* A free slot, if need be that of another connection. NULL: nobody waits, or no room. */
static struct connection *find_slot(struct connections *set)
{
    struct connection *c = take_slot(set);
    if (c) {
        return c;
    }
    if (!anyone_waits(set)) {
        atomic_store(&set->paused, false);
        return NULL;
    }
    note_failure(set, "MaxConnections are open");
    while (!c && make_room(set)) {
        c = take_slot(set);
    }
    if (!c) {
        pause_accepting(set);
    }
    return c;
}

/* Whether one was made free. */
static bool out_of_descriptors(struct connections *set, int error, bool make_free)
{
    note_failure(set, strerror(error));
    if (make_free && make_room(set)) {
        return true;
    }
    pause_accepting(set);
    return false;
}

/* After a failed accept: whether to try again at once. `failures` counts those in this
 * row, so that somebody else's hunger for descriptors does not cost every connection. */
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
            log_fault(set, LOG_LEVEL_WARNING, "cannot accept: %s", strerror(error));
            pause_accepting(set);
            return false;
        }
        return true; /* Linux also hands out the network errors of that peer */
    }
}

/* Accepts until nobody waits. Keeps the first connection whose request is there already;
 * leaves the others to whoever has time for them, this worker too: that costs no system
 * call for each. With a request in hand it goes on only for a burst: another worker takes
 * over. */
static struct connection *accept_all(struct connections *set, struct connection_reader *r)
{
    struct connection *kept = NULL, *c;
    int accepted = 0, failures = 0;
    bool left = false;
    while ((c = find_slot(set)) != NULL) {
        int fd = accepted < ACCEPT_BURST || !kept ? accept_one(set) : -1;
        if (fd < 0) {
            int error = errno;
            return_slot(set, c);
            if (accepted >= ACCEPT_BURST && kept) {
                atomic_store(&set->accept_again, true);
                poller_kick(set->poller);
                break;
            }
            if (!accept_failed(set, error, ++failures)) {
                break;
            }
            continue;
        }
        accepted++;
        failures = 0;
        open_slot(set, c, fd);
        if (kept) {
            enqueue(set, c);
            left = true;
        } else if (look(set, r, c) == LOOK_COMPLETE) {
            kept = c;
        }
    }
    if (left) {
        poller_kick(set->poller);
    }
    return kept;
}

bool connections_adopt(struct connections *set, int fd)
{
    struct connection *c = take_slot(set);
    if (!c) {
        return false;
    }
    open_slot(set, c, fd);
    park(set, c);
    return true;
}

/* -- Looking at what came -- */

/* Deals with one record that does not belong to the head. */
static enum look cut_record(struct connection *c, enum record_verdict verdict,
                            uint8_t *data, size_t *len)
{
    struct record_head *h = &c->head;
    bool ok = true, go_on = true;
    switch (verdict) {
    case RECORD_CUT_VALUES:
        ok = connection_answer_values(c, data + h->cut);
        break;
    case RECORD_CUT_UNKNOWN:
        ok = connection_answer_unknown(c, h->cut_type);
        break;
    case RECORD_CUT_MPX:
        ok = connection_answer_end(c, h->cut_id, RECORD_CANT_MPX_CONN);
        break;
    case RECORD_CUT_ROLE:
        ok = connection_answer_end(c, h->cut_id, RECORD_UNKNOWN_ROLE);
        go_on = h->cut_keep;
        break;
    case RECORD_CUT_ABORT:
        ok = connection_answer_end(c, h->cut_id, RECORD_REQUEST_COMPLETE);
        go_on = h->cut_keep;
        break;
    default:
        break;
    }
    *len = record_cut(h, verdict, data, *len);
    return !ok ? LOOK_CLOSE : go_on ? LOOK_MORE : LOOK_LINGER;
}

static enum look check_head(struct connections *set, struct connection *c, uint8_t *data,
                            size_t *len)
{
    for (;;) {
        enum record_verdict verdict = record_check(&c->head, data, *len, set->max_head);
        if (verdict == RECORD_MORE) {
            return LOOK_MORE;
        }
        if (verdict == RECORD_COMPLETE) {
            return LOOK_COMPLETE;
        }
        if (record_fault(verdict)) {
            log_fault(set, LOG_LEVEL_WARNING, "request refused: %s",
                      record_fault(verdict));
            return LOOK_CLOSE;
        }
        enum look result = cut_record(c, verdict, data, len);
        if (result != LOOK_MORE) {
            return result;
        }
    }
}

/* Forgets what is before the head, so that what is to come has room. */
static size_t compact(struct record_head *h, uint8_t *data, size_t len)
{
    size_t start = h->start;
    if (start > 0) {
        memmove(data, data + start, len - start);
        h->start = 0;
        h->pos -= start;
    }
    return len - start;
}

/* What fits the reader's memory, with the room before it that record_pack needs. */
static size_t reader_room(const struct connection_reader *r)
{
    return r->feed.size - RECORD_PACK_ROOM;
}

/* Room behind pending bytes. It doubles: bytes that trickle in are not copied for each. A
 * head that is allowed, and a record between, always fit the reader's memory. */
static bool grow_pending(struct connection *c, size_t limit)
{
    if (c->pending_len < c->pending_cap) {
        return true;
    }
    size_t cap = c->pending_cap ? 2 * c->pending_cap : FIRST_PENDING;
    cap = cap < limit ? cap : limit;
    uint8_t *p = cap > c->pending_len ? realloc(c->pending, cap) : NULL;
    if (!p) {
        return false;
    }
    c->pending = p;
    c->pending_cap = cap;
    return true;
}

/* Keeps `len` bytes that no request has used. */
static bool keep_pending(struct connection *c, const uint8_t *data, size_t len,
                         size_t limit)
{
    if (len == 0) {
        return true;
    }
    size_t cap = len < FIRST_PENDING / 2 ? FIRST_PENDING : len + FIRST_PENDING;
    c->pending_cap = cap < limit ? cap : limit;
    c->pending = malloc(c->pending_cap);
    if (!c->pending) {
        c->pending_cap = 0;
        return false;
    }
    memcpy(c->pending, data, len);
    c->pending_len = len;
    return true;
}

/* The request is this worker's. What was received, `len` bytes with the head in them, is
 * in the reader's memory from `base` on. */
static void begin_request(struct connection_reader *r, struct connection *c, size_t base,
                          size_t len)
{
    if (c->pending) {
        memcpy(r->feed.data + base, c->pending, len);
        forget_pending(c);
    }
    r->from = base + c->head.pos;
    c->head.start += base;
    c->head.end += base;
    record_pack(&c->head, r->feed.data);
    r->to = base + len;
    c->id = c->head.id;
    c->keep = c->head.keep;
    c->ended = false;
    c->body = CONNECTION_OK;
    c->content = c->padding = 0;
    c->strays = 0;
    c->drained = 0;
}

/* One recv(2) behind `*len` bytes. COMPLETE: something came. MORE: nothing is there. */
static enum look receive_more(struct connection *c, uint8_t *data, size_t *len,
                              size_t cap)
{
    ssize_t n;
    do {
        n = recv(c->fd, data + *len, cap - *len, MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n > 0) {
        c->again = c->again || (size_t)n == cap - *len;
        *len += (size_t)n;
        return LOOK_COMPLETE;
    }
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
        c->again = false;
        return LOOK_MORE;
    }
    return LOOK_CLOSE;
}

/* An incomplete head leaves the reader's memory, and its time runs from its first byte.
 */
static enum look await_head(struct connection_reader *r, struct connection *c,
                            const uint8_t *data, size_t len)
{
    if (!c->pending && !keep_pending(c, data, len, reader_room(r))) {
        return LOOK_CLOSE;
    }
    if (len == 0) {
        forget_pending(c);
    } else if (kind_of(c) == KIND_IDLE) {
        set_kind(c, KIND_HEAD);
    }
    return LOOK_MORE;
}

/* Where the bytes of a head are: in the connection's own memory, if some came before,
 * else in the reader's: in its last page, so that libfcgi, which always asks for 8 KiB,
 * copies no more than that; or, when they are more, at its beginning. `base` is where in
 * the reader's memory they are, or will be when the head is whole. */
struct place {
    uint8_t *data;
    size_t len, cap, base;
};

static struct place find_place(struct connection_reader *r, struct connection *c)
{
    if (c->pending) {
        return (struct place){c->pending, c->pending_len, c->pending_cap,
                              RECORD_PACK_ROOM};
    }
    size_t base = r->feed.size - FEED_PAGE + RECORD_PACK_ROOM;
    return (struct place){r->feed.data + base, 0, r->feed.size - base, base};
}

static bool make_space(struct connection_reader *r, struct connection *c,
                       struct place *at)
{
    if (c->pending) {
        bool ok = grow_pending(c, reader_room(r));
        at->data = c->pending;
        at->cap = c->pending_cap;
        return ok;
    }
    if (at->len == at->cap) {
        size_t base = RECORD_PACK_ROOM;
        memmove(r->feed.data + base, at->data, at->len);
        *at = (struct place){r->feed.data + base, at->len, r->feed.size - base, base};
    }
    return at->len < at->cap;
}

/* Checks and receives until the head is there or the socket is empty. A read that does
 * not fill the room has emptied it, unless the peer has closed: `again` tells. */
static enum look look_head(struct connections *set, struct connection_reader *r,
                           struct connection *c)
{
    struct place at = find_place(r, c);
    bool empty = false;
    for (int round = 0;; round++) {
        enum look result = check_head(set, c, at.data, &at.len);
        if (result == LOOK_COMPLETE) {
            begin_request(r, c, at.base, at.len);
        }
        if (result != LOOK_MORE) {
            return result;
        }
        at.len = compact(&c->head, at.data, at.len);
        c->pending_len = c->pending ? at.len : 0;
        if (empty || round == LOOK_ROUNDS) {
            return await_head(r, c, at.data, at.len);
        }
        if (!make_space(r, c, &at) ||
            (result = receive_more(c, at.data, &at.len, at.cap)) == LOOK_CLOSE) {
            return LOOK_CLOSE;
        }
        empty = result == LOOK_MORE || !c->again;
    }
}

/* What no request has used goes with the connection. */
static bool leave_reader(struct connection *c)
{
    struct connection_reader *r = c->reader;
    forget_pending(c);
    return keep_pending(c, r->feed.data + r->from, r->to - r->from, reader_room(r));
}

/* The body is over: the next request may come. */
static bool become_idle(struct connection *c)
{
    c->head = (struct record_head){0};
    set_kind(c, KIND_IDLE);
    return leave_reader(c);
}

/* Goes on dropping a body. COMPLETE here means that it is over. */
static enum look drain_more(struct connection *c)
{
    switch (connection_drain(c)) {
    case CONNECTION_END:
        return become_idle(c) ? LOOK_COMPLETE : LOOK_CLOSE;
    case CONNECTION_OK:
        return leave_reader(c) ? LOOK_MORE : LOOK_CLOSE;
    default:
        return LOOK_LINGER;
    }
}

static enum look look_drain(struct connections *set, struct connection_reader *r,
                            struct connection *c)
{
    if (c->pending) {
        memcpy(r->feed.data, c->pending, c->pending_len);
    }
    r->from = 0;
    r->to = c->pending_len;
    enum look result = drain_more(c);
    return result == LOOK_COMPLETE ? look_head(set, r, c) : result;
}

static enum look look_linger(struct connection_reader *r, struct connection *c)
{
    for (int round = 0; round < LOOK_ROUNDS; round++) {
        size_t len = 0;
        enum look result = receive_more(c, r->feed.data, &len, r->feed.size);
        if (result != LOOK_COMPLETE) {
            return result;
        }
    }
    c->again = true;
    return LOOK_MORE;
}

/* Says that no more is to come, and lets the peer read what is there: a close now, with
 * unread input, would send a reset, which can overtake the response. */
static void begin_linger(struct connection *c)
{
    forget_pending(c);
    shutdown(c->fd, SHUT_WR);
    set_kind(c, KIND_LINGER);
    c->again = true;
}

static enum look look_once(struct connections *set, struct connection_reader *r,
                           struct connection *c)
{
    c->reader = r;
    switch (kind_of(c)) {
    case KIND_DRAIN:
        return look_drain(set, r, c);
    case KIND_LINGER:
        return look_linger(r, c);
    default:
        return look_head(set, r, c);
    }
}

/* LOOK_COMPLETE: `c` has a request, and is the caller's. LOOK_GONE: it is not any more.
 */
static enum look look(struct connections *set, struct connection_reader *r,
                      struct connection *c)
{
    for (;;) {
        switch (look_once(set, r, c)) {
        case LOOK_COMPLETE:
            return LOOK_COMPLETE;
        case LOOK_LINGER:
            begin_linger(c);
            break;
        case LOOK_MORE:
            if (c->again) { /* it never stops sending: no sweep finds it parked */
                if (is_late(set, c, clock_ticks())) {
                    close_late(set, c);
                } else {
                    defer(set, c); /* others first */
                }
                return LOOK_GONE;
            }
            if (park(set, c)) {
                return LOOK_GONE;
            }
            break;
        default:
            close_connection(set, c);
            return LOOK_GONE;
        }
    }
}

/* -- Waiting -- */

/* Whom an event is for. NULL: for a connection that is owned, or is no more. */
static struct connection *claim(struct connections *set, const struct poller_event *event)
{
    struct connection *c = &set->table[event->cookie & INDEX_MASK];
    unsigned word = atomic_load(&c->word);
    for (;;) {
        unsigned generation = word >> STATE_BITS;
        if ((uint32_t)generation << INDEX_BITS !=
            (event->cookie & ~(uint32_t)INDEX_MASK)) {
            return NULL;
        }
        unsigned state = state_of(word);
        if (state == FREE || state == BUSY_AGAIN) {
            return NULL;
        }
        unsigned to = state == BUSY ? BUSY_AGAIN : BUSY;
        if (atomic_compare_exchange_weak(&c->word, &word, with_state(word, to))) {
            if (to == BUSY_AGAIN) {
                return NULL;
            }
            c->again = c->again || event->hangup;
            return c;
        }
    }
}

/* Another worker waits for ever, or will: if accepting is paused one must not. */
static struct connection *leave_wait(struct connections *set, struct connection *c)
{
    if (atomic_load(&set->paused)) {
        poller_kick(set->poller);
    }
    return c;
}

/* NULL: nothing to serve came of it. */
static struct connection *on_event(struct connections *set, struct connection_reader *r,
                                   const struct poller_event *event)
{
    struct connection *c = NULL;
    if (event->cookie == LISTENER_COOKIE) {
        return accept_all(set, r);
    }
    if (event->cookie == POLLER_KICKED) {
        bool more;
        c = take_deferred(set, &more);
        if (more) {
            poller_kick(set->poller);
        }
    } else if (event->cookie != POLLER_WOKEN) {
        c = claim(set, event);
    }
    return c && look(set, r, c) == LOOK_COMPLETE ? c : NULL;
}

/* After a burst, or when something ran out. */
static struct connection *retry_accept(struct connections *set,
                                       struct connection_reader *r)
{
    unsigned now = clock_ticks();
    bool due = atomic_load(&set->paused) &&
               elapsed(now, atomic_load(&set->last_try)) >= RETRY_TIME;
    if (!atomic_exchange(&set->accept_again, false) && !due) {
        return NULL;
    }
    atomic_store(&set->last_try, now);
    return accept_all(set, r);
}

static struct connection *take_next(struct connections *set, struct connection_reader *r)
{
    struct connection *c = r->next;
    r->next = NULL;
    return look(set, r, c) == LOOK_COMPLETE ? c : NULL;
}

/* After a stop: whether somebody who connected before it still waits to be served. */
static bool anyone_left(struct connections *set)
{
    if (atomic_load(&set->any_deferred)) {
        return true;
    }
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        unsigned state = state_of(atomic_load(&set->table[i].word));
        if ((state == PARKED || state == ADDING) &&
            kind_of(&set->table[i]) == KIND_HEAD) {
            return true;
        }
    }
    return false;
}

/* The poller wakes everybody all the time after a stop. */
static void nap(void)
{
    nanosleep(&(struct timespec){0, STOP_NAP * 1000000}, NULL);
}

struct connection *connection_wait(struct connections *set, struct connection_reader *r)
{
    struct connection *c = NULL;
    while (!c && (!atomic_load(&set->stopping) || anyone_left(set))) {
        if (r->next) {
            c = take_next(set, r);
            continue;
        }
        if (r->polled && atomic_load(&set->any_deferred)) {
            bool more;
            r->polled = false;
            c = take_deferred(set, &more);
            c = c && look(set, r, c) == LOOK_COMPLETE ? c : NULL;
            continue;
        }
        r->streak = 0;
        bool paused = atomic_load(&set->paused);
        if ((paused || atomic_load(&set->accept_again)) &&
            (c = retry_accept(set, r)) != NULL) {
            break;
        }
        struct poller_event event;
        if (poller_wait(set->poller, paused ? RETRY_TIME : -1, &event) > 0) {
            c = on_event(set, r, &event);
            if (event.cookie == POLLER_WOKEN) {
                nap();
            }
        }
        r->polled = true;
    }
    if (!c && r->next) {
        close_connection(set, r->next);
        r->next = NULL;
    }
    return c ? leave_wait(set, c) : NULL;
}

/* -- Letting go -- */

/* Closes at once when that can cut nothing off: the peer has sent all it will send. */
static void let_go(struct connections *set, struct connection_reader *r,
                   struct connection *c)
{
    bool silent = c->body == CONNECTION_END && !(c->keep && set->tcp);
    bool stopping = atomic_load(&set->stopping);
    if (silent || c->output != CONNECTION_OK || stopping) {
        if (!silent && c->output == CONNECTION_OK) {
            connection_linger_now(c);
        }
        close_connection(set, c);
        return;
    }
    begin_linger(c);
    look(set, r, c);
}

void connection_release(struct connections *set, struct connection *c, FCGX_Request *fcgi,
                        bool keep)
{
    struct connection_reader *r = c->reader;
    FCGX_Free(fcgi, 0);
    fcgi->ipcFd = -1;
    if (c->output == CONNECTION_OK) {
        connection_drain(c);
    }
    keep = keep && c->keep && c->ended && c->output == CONNECTION_OK &&
           !atomic_load(&set->stopping);
    if (!keep || c->body == CONNECTION_ABORTED) {
        let_go(set, r, c);
    } else if (c->body == CONNECTION_END) {
        if (become_idle(c)) {
            park_or_again(set, r, c);
        } else {
            close_connection(set, c);
        }
    } else {
        set_kind(c, KIND_DRAIN);
        if (leave_reader(c)) {
            park_or_again(set, r, c);
        } else {
            close_connection(set, c);
        }
    }
}

/* -- Life and death of the set -- */

struct connections *connections_create(int listener, const struct config *config)
{
    int limit = config->max_connections;
    if (limit < 1 || limit > MAX_SLOTS || config->max_head_size < 1) {
        errno = EINVAL;
        return NULL;
    }
    struct connections *set = calloc(1, sizeof *set);
    if (!set) {
        return NULL;
    }
    set->size = (size_t)limit;
    set->max_head = (size_t)config->max_head_size;
    set->workers = (unsigned)config->worker_threads;
    set_limits(set, config);
    set->listener = listener;
    set->tcp = listener >= 0 && listener_is_tcp(listener);
    pthread_mutex_init(&set->lock, NULL);
    set->table = calloc(set->size, sizeof *set->table);
    set->poller = poller_create();
    int error = errno;
    if (set->table && set->poller && listener_peers_create(&set->peers) &&
        FCGX_Init() == 0) {
        set->deferred_end = &set->deferred;
        if (listener < 0 || poller_add(set->poller, listener, LISTENER_COOKIE)) {
            return set;
        }
        error = errno;
    }
    set->listener = -1; /* the caller's, as nothing came of it */
    connections_destroy(set);
    errno = error;
    return NULL;
}

void connections_destroy(struct connections *set)
{
    if (!set) {
        return;
    }
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        if (set->table[i].fd >= 0) {
            close(set->table[i].fd);
        }
        free(set->table[i].pending);
    }
    if (set->listener >= 0) {
        close(set->listener);
    }
    free(set->table);
    listener_peers_destroy(set->peers);
    poller_destroy(set->poller);
    pthread_mutex_destroy(&set->lock);
    free(set);
}

/* Who connects from now on is refused at once. Another thread may be about to accept, so
 * the number stays taken: by a file that cannot be accepted from. */
static void close_listener(struct connections *set)
{
    int fd = set->listener < 0 ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        dup2(fd, set->listener);
        fcntl(set->listener, F_SETFD, FD_CLOEXEC);
        close(fd);
    }
}

/* Who has connected is served, as far as there are slots. */
static void accept_last(struct connections *set)
{
    struct connection *c;
    while (set->listener >= 0 && (c = take_slot(set)) != NULL) {
        int fd = listener_accept(set->listener, set->peers);
        if (fd < 0) {
            return_slot(set, c);
            return;
        }
        open_slot(set, c, fd);
        enqueue(set, c);
    }
}

void connections_stop(struct connections *set)
{
    atomic_store(&set->stopping, true);
    accept_last(set);
    close_listener(set);
    poller_wake_all(set->poller);
    for (size_t i = 0, used = atomic_load(&set->used); i < used; i++) {
        close_if_stopping(set, &set->table[i]);
    }
}

struct connection_reader *connection_reader_create(const struct connections *set)
{
    struct connection_reader *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->set = (struct connections *)set;
    size_t size = set->max_head + RECORD_MAX_SIZE + FEED_PAGE;
    if (!feed_open(&r->feed, size - size % FEED_PAGE + FEED_PAGE, set->max_head)) {
        int error = errno;
        if (error == EMSGSIZE) {
            log_error("MaxHeadSize is more than a socket pair takes on this system");
        }
        free(r);
        errno = error;
        return NULL;
    }
    return r;
}

void connection_reader_destroy(struct connection_reader *r)
{
    if (r) {
        feed_close(&r->feed);
        free(r);
    }
}
