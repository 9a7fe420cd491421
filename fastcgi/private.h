/* What the files of this folder share. No other folder includes it. Each file calls only
 * those below it:
 *
 *     connection.c  the life of the set; waiting, letting go
 *     accept.c      how connections come in
 *     look.c        what is done with bytes that no request has used
 *     cut.c         responses that are not whole, and what tells the peer so
 *     sweep.c       which connections are closed without being asked
 *     slot.c        the table, and who owns a connection of it
 *
 * stream.c serves one request of one connection; look.c uses it too. The limit on lines
 * of the log about peers is in connection.c, and all use it. */
#ifndef LUAFCGID2_FASTCGI_PRIVATE_H
#define LUAFCGID2_FASTCGI_PRIVATE_H

#include "base/log.h"
#include "fastcgi/connection.h"
#include "fastcgi/feed.h"
#include "fastcgi/record.h"
#include <pthread.h>
#include <stdatomic.h>

enum {
    MAX_SLOTS = 1000000,  /* of a set; leaves cookies at the end for others */
    RETRY_TIME = 50,      /* ms between attempts to accept when something ran out */
    DRAIN_LIMIT = 262144, /* bytes of an unread body that a kept connection may cost */
    CLOSING_TIME = 2000,  /* ms that a body may drain, or a closing peer may linger */
};

/* What a connection in the poller waits for. */
enum connection_kind {
    KIND_HEAD,   /* the (rest of the) head of a request: ReadTimeout */
    KIND_IDLE,   /* the first byte of the next request: KeepAliveTimeout */
    KIND_DRAIN,  /* the rest of a body that the script did not read: CLOSING_TIME */
    KIND_LINGER, /* the peer to have read our last bytes and to close: CLOSING_TIME */
    KIND_CUT,    /* room for the record that a response is not whole: WriteTimeout */
};

struct poller_event;

/* `lock` is a leaf. What is atomic is anybody's at any time. */
struct connections {
    /* immutable */
    struct connection *table;
    size_t size, max_head;
    unsigned workers;
    struct poller *poller;
    struct listener_peers *peers; /* NULL: anyone may connect */
    bool tcp;

    int listener; /* a stop puts another file behind this number */

    pthread_mutex_t lock; /* guards the two lists */
    struct connection *free;
    atomic_size_t used; /* slots of the table that ever were; the rest is untouched
                           memory. Written under the lock */
    struct connection *deferred, **deferred_end;
    atomic_bool any_deferred; /* read without the lock */

    atomic_uint limits[KIND_CUT + 1]; /* ms that each kind may wait; 0: for ever */
    atomic_bool stopping;
    atomic_uint stopped_at; /* ms; before `stopping` */
    atomic_uint count;
    atomic_bool accept_again;   /* more may wait in the listening socket's queue */
    atomic_bool paused;         /* something ran out: accept is tried every RETRY_TIME */
    atomic_bool starved;        /* that was logged */
    atomic_uint last_try;       /* ms, while paused */
    atomic_uint last_failure;   /* ms */
    atomic_uint faults, second; /* lines logged, in which second */
};

/* A worker's memory. feed.data has what was received and not yet used, at [from, to);
 * between requests nothing of it is of use. The worker's alone. */
struct connection_reader {
    struct connections *set;
    struct feed feed;
    size_t from, to;
    struct connection *next; /* to be looked at again before waiting */
    unsigned streak;         /* how often in a row that was so */
    bool polled; /* since a deferred one was taken: they must not starve the others */
};

/* How many bytes that were not yet used may be there: they must fit behind the room that
 * record_pack needs when they are a head. */
static inline size_t connection_reader_room(const struct connection_reader *r)
{
    return r->feed.size - RECORD_PACK_ROOM;
}

/* How far the response is. */
enum connection_stage {
    STAGE_NONE,    /* nothing of it has gone out */
    STAGE_OPEN,    /* some records have, the last of them whole */
    STAGE_WRITING, /* its worker writes, or the peer has a part of a record */
    STAGE_WHOLE,
    STAGE_CUT, /* it is not whole, and no more of it goes out */
};

/* `word`, `since`, `kind` and `stage` are atomic. All else belongs to the owner: who
 * moved `word` to BUSY, until who moves it on. `next` is under the set's lock while the
 * connection is in one of its lists. */
struct connection {
    atomic_uint word;   /* generation << 3 | state, see fastcgi/slot.c */
    atomic_uint since;  /* clock_ticks(): when it began to wait */
    atomic_uchar kind;  /* enum connection_kind */
    atomic_uchar stage; /* enum connection_stage; a stop cuts off what is STAGE_OPEN */
    bool added;         /* the poller has it */
    bool again;         /* bytes, or the end, may be there that no event will tell of */
    bool keep;          /* FCGI_KEEP_CONN of this request */
    bool ended;         /* the response is complete */
    uint8_t padding;    /* still to come behind `content` */
    uint16_t strays;    /* records in the body that were none of it */
    uint16_t id;        /* of this request */
    int fd;
    uint32_t content;              /* still to come of the current FCGI_STDIN record */
    size_t drained;                /* bytes of the body read for nothing */
    enum connection_status body;   /* OK, or what every later read says */
    enum connection_status output; /* OK, or what every later write says */
    struct connection_reader *reader;
    struct connection *next;
    struct record_head head;
    uint8_t *pending; /* received and unused bytes while no worker has it; of KIND_CUT
                         the bytes still to be sent; or NULL */
    size_t pending_len, pending_cap;
};

/* Threads read the clock at different moments: a start in the future is now. */
static inline unsigned connection_elapsed(unsigned now, unsigned since)
{
    return now - since > UINT32_MAX / 2 ? 0 : now - since;
}

/* -- fastcgi/connection.c -- */

/* Whether one more line about a peer's fault may go to the log in this second. */
bool connections_may_log_fault(struct connections *set);

#define connections_log_fault(set, level, ...)                                           \
    do {                                                                                 \
        if (connections_may_log_fault(set))                                              \
            log_write(level, __VA_ARGS__);                                               \
    } while (0)

/* -- fastcgi/accept.c -- */

/* Accepts until nobody waits. Keeps the first connection whose request is there already,
 * and returns it: the caller's, with the request in `r`. Leaves the others to whoever has
 * time for them. NULL: nobody's request was there. */
struct connection *connections_accept(struct connections *set,
                                      struct connection_reader *r);

/* The same if something was left to do: after a burst, or when something ran out and
 * RETRY_TIME is over. */
struct connection *connections_retry_accept(struct connections *set,
                                            struct connection_reader *r);

/* For a stop, once: takes in who has connected, as far as there are slots, and refuses
 * everybody else. */
void connections_accept_last(struct connections *set);

/* -- fastcgi/look.c: all by the owner -- */

/* Reads what is there and decides. true: `c` has a request, which is in `r`, and stays
 * the caller's. false: it is not any more; it was parked, deferred or closed. */
bool connection_look(struct connections *set, struct connection_reader *r,
                     struct connection *c);

/* Says that no more is to come, and lets the peer read what is there: a close now, with
 * unread input, would send a reset, which can overtake the response. `c` is not the
 * caller's any more. */
void connection_linger(struct connections *set, struct connection_reader *r,
                       struct connection *c);

/* The response is out: from now on `c` waits for the next request, or, if the body is not
 * over, for the rest of it. What no request has used leaves the reader's memory. false:
 * out of memory. */
bool connection_await_next(struct connection *c);

/* -- fastcgi/cut.c: all by the owner -- */

/* Whether some of a response has gone out, and the rest never will. */
bool connection_is_cut_short(struct connection *c);

/* Tells the peer so. false: it does not take that yet; `c` waits for it and is not the
 * caller's any more. */
bool connection_cut(struct connections *set, struct connection_reader *r,
                    struct connection *c);

/* Keeps what is left of a record of which the peer has got a part, for connection_cut.
 * false: out of memory. */
bool connection_keep_rest(struct connection *c, const struct iovec *parts, int count);

/* Lets the close be a reset, which no peer takes for the end of a response. */
void connection_reset(struct connection *c);

/* Goes on sending what connection_cut had no room for. OK: not yet; END: all is sent;
 * ABORTED: the peer is gone. */
enum connection_status connection_send_cut(struct connection *c);

/* -- fastcgi/sweep.c -- */

/* What the configuration says about deadlines. */
void connections_set_limits(struct connections *set, const struct config *config);

/* By the owner. true: `c` has waited too long, and was closed. */
bool connection_close_if_late(struct connections *set, struct connection *c,
                              unsigned now);

/* Something that connections need ran out; `what` is for the log. */
void connections_note_failure(struct connections *set, const char *what);

/* Closes the parked connection that is missed least. false: there is none. */
bool connections_make_room(struct connections *set);

/* -- fastcgi/slot.c -- */

/* An empty slot, which nobody else gets until it is returned, or opened and closed. NULL:
 * MaxConnections are open. */
struct connection *connections_take_slot(struct connections *set);
void connections_return_slot(struct connections *set, struct connection *c);

/* An empty slot becomes a connection, of the caller. */
void connection_open(struct connections *set, struct connection *c, int fd);

/* By the owner. A late event finds nothing. The slot is returned. */
void connection_close(struct connections *set, struct connection *c);

/* By the owner: frees the bytes that no request has used. */
void connection_forget_pending(struct connection *c);

/* What `c` waits for. Its time runs from set_kind, which is the owner's. */
void connection_set_kind(struct connection *c, enum connection_kind kind);
enum connection_kind connection_kind_of(struct connection *c);

/* Whether `c` was parked a moment ago: worth a try of connection_take_parked. */
bool connection_is_parked(struct connection *c);

/* The caller becomes the owner of a parked connection. false: somebody else did. */
bool connection_take_parked(struct connection *c);

/* Whom an event of the poller is for: the caller's from now on. NULL: for a connection
 * that is owned, whose owner looks again, or is no more. */
struct connection *connections_claim(struct connections *set,
                                     const struct poller_event *event);

/* By the owner, who gives `c` up. false: an event came meanwhile, `c` is still the
 * caller's and must be looked at. */
bool connection_park(struct connections *set, struct connection *c);

/* By the owner, who gives `c` up, between requests: parks it, or has a worker look soon
 * at bytes that are there already, behind the connections that wait. `r` is NULL when the
 * caller is not a worker. */
void connection_park_or_again(struct connections *set, struct connection_reader *r,
                              struct connection *c);

/* After a stop: closes `c` if it is parked, unless a request of it may still be served.
 */
void connection_close_if_stopping(struct connections *set, struct connection *c);

/* Whether kept connections are not kept any more: a while after a stop. */
bool connections_are_ending(struct connections *set);

/* By the owner, before a close of ours: whether an idle connection has a request after
 * all. It must then be looked at: a close would throw that away, and the web server could
 * not know whether it was served. */
bool connection_has_request(struct connection *c);

/* By the owner, who leaves `c` to any worker that comes by, behind what waits already.
 * defer also wakes one for it, who wakes the next if there are more. */
void connections_enqueue(struct connections *set, struct connection *c);
void connections_defer(struct connections *set, struct connection *c);

/* The first that was left so, the caller's from now on; NULL: none. `*more`: it was not
 * the only one. */
struct connection *connections_take_deferred(struct connections *set, bool *more);

/* After a stop: whether somebody who connected before it may still have to be served.
 * Closes those of whom that is no longer so. */
bool connections_anyone_left(struct connections *set);

/* -- fastcgi/stream.c -- */

/* Answers a record that the request in progress does not care for, whole at `p`. false:
 * the peer does not take the answer, or the record is malformed. */
bool connection_answer_values(struct connection *c, const uint8_t *p);
bool connection_answer_unknown(struct connection *c, uint8_t type);
bool connection_answer_end(struct connection *c, uint16_t id,
                           enum record_protocol_status status);

/* Reads and drops what is there of the body, without waiting. OK: nothing more is there
 * yet. END: the body is over; what is left in the reader's memory is the next request's.
 * ABORTED: broken, or more than DRAIN_LIMIT. */
enum connection_status connection_drain(struct connection *c);

/* Says that no more is to come and reads until the peer has closed, for a second or so:
 * for a stop, when no poller will do it. */
void connection_linger_now(struct connection *c);

#endif
