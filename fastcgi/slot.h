/* The table of connections, and who owns which: what the other files of the room stand
 * on.
 *
 * A connection is a slot of the table, and belongs to whoever has moved its state to
 * BUSY. connection.h is the face of the room; only it, answer, cut, stream, sweep, look,
 * rest, accept and this file know the structs. Nothing here blocks. */
#ifndef LUAFCGID2_FASTCGI_SLOT_H
#define LUAFCGID2_FASTCGI_SLOT_H

#include "base/log.h"
#include "fastcgi/feed.h"
#include "fastcgi/frames.h"
#include "fastcgi/io.h"
#include "fastcgi/record.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MAX_SLOTS = 1000000, /* of a set; the cookies above are not for slots */
    TRUST = 2,           /* what one peer that did not read in its moment costs */
    RETRY_TIME = 50,     /* ms between attempts to accept when something ran out */
    CLOSING_TIME = 2000, /* ms that a body may drain, or a closing peer may linger */
};

/* What a connection in the poller waits for. */
enum slot_kind {
    KIND_HEAD,   /* the (rest of the) head of a request: ReadTimeout */
    KIND_IDLE,   /* the first byte of the next request: KeepAliveTimeout */
    KIND_DRAIN,  /* the rest of a body that the script did not read: CLOSING_TIME */
    KIND_LINGER, /* the peer to have read our last bytes and to close: CLOSING_TIME */
    KIND_OUT,    /* room for the rest of a whole response: WriteTimeout */
    KIND_CUT,    /* room for the record that a response is not whole: WriteTimeout */
};

struct poller;
struct waiter;
struct waiters;
struct poller_event;
struct listener_peers;

/* Whether requests wait because every worker is busy (fastcgi/jam.c). */
struct jam {
    atomic_int idle;       /* workers that wait in the poller */
    atomic_int leavers;    /* that are to leave when they wait next */
    atomic_bool awaited;   /* the governor sleeps until `idle` is 0 */
    unsigned marked;       /* the governor's: `enqueued` at its mark, */
    bool marked_listener;  /* and whether somebody waited to be accepted */
    unsigned marked_ready; /* and what waiters_are_passed wants */
    pthread_mutex_t lock;  /* a leaf; for `busy` alone */
    pthread_cond_t busy;   /* `awaited` became false */
};

/* `lock` is a leaf. Any thread may use what is atomic, at any time. */
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
    atomic_size_t used; /* slots that were ever used; the rest of the table is untouched
                           memory. Written under the lock */
    struct connection *deferred, **deferred_end;
    unsigned enqueued, dequeued; /* so many were deferred, and taken, ever; they wrap */
    atomic_bool any_deferred;    /* read without the lock */

    atomic_size_t pending_output;     /* bytes of all rests together */
    atomic_size_t max_pending_output; /* 0: no limit */
    atomic_int trust; /* > 0: peers read, so they are given a moment (fastcgi/stream.c) */

    atomic_uint limits[KIND_CUT + 1]; /* ms that each kind may wait; 0: for ever */
    atomic_bool stopping;
    atomic_uint stopped_at; /* ms; before `stopping` */
    atomic_uint borrowings; /* calls of slots_borrow, ever, */
    atomic_uint returns;    /* and of slots_return; they wrap */
    atomic_uint count;
    atomic_bool accept_again;   /* more may wait in the listening socket's queue */
    atomic_bool paused;         /* something ran out: accept is tried every RETRY_TIME */
    atomic_uint last_try;       /* ms, while paused */
    atomic_uint failures;       /* so often, ever, something had run out */
    atomic_int failure;         /* what: an errno; 0: the slots */
    atomic_uint evictions;      /* connections that were closed to make room, ever */
    atomic_uint faults, second; /* lines logged, in which second */

    struct jam jam;
    struct waiters *waiters; /* fastcgi/waiter.c; immutable */
};

/* A worker's memory; no other thread touches it. feed.data[from, to) was received and is
 * not used yet. Between requests nothing of it is needed. */
struct connection_reader {
    struct connections *set;
    struct feed feed;
    size_t from, to;
    struct connection *next; /* to be looked at again before waiting */
    unsigned streak;         /* how often in a row that was so */
    struct waiter *ready;    /* a request that has waited, for connection_take_ready */
    bool ready_first;        /* at the next choice between that and a connection */
    bool polled; /* since a deferred one was taken: those must not keep others waiting */
};

/* How many unused bytes the memory may hold. If they are a head, they must fit behind the
 * room that record_pack needs. */
static inline size_t slot_reader_room(const struct connection_reader *r)
{
    return r->feed.size - RECORD_PACK_ROOM;
}

/* How far the response is. */
enum slot_stage {
    STAGE_NONE,    /* nothing of it has gone out */
    STAGE_OPEN,    /* some records have, the last of them whole */
    STAGE_WRITING, /* its worker writes, or the peer has a part of a record */
    STAGE_WHOLE,
    STAGE_CUT, /* it is not whole, and no more of it goes out */
};

/* What a peer has not taken yet of a response that is complete (fastcgi/rest.c). The
 * bytes are in `block`, or, when they are few, behind this. */
struct rest {
    struct frames frames;  /* of `parts` */
    struct iovec parts[2]; /* what is left of the head, and of the body */
    uint8_t *block;        /* malloc'ed; or NULL */
    size_t block_size;
    size_t counted; /* bytes of all that, in the set's pending_output */
    bool known;     /* `request` is whose response it is, for the log */
    struct log_request_copy request;
    uint8_t copy[];
};

/* `word`, `since`, `kind` and `stage` are atomic. All else belongs to the owner: who
 * moved `word` to BUSY, until who moves it on. `next` is under the set's lock while the
 * connection is in one of its lists. */
struct connection {
    atomic_uint word;    /* generation << 3 | state, see fastcgi/slot.c */
    atomic_uint since;   /* of clock_ticks: when it began to wait */
    atomic_uchar kind;   /* enum slot_kind */
    atomic_uchar stage;  /* enum slot_stage; a stop cuts off what is STAGE_OPEN */
    bool added;          /* the poller has it */
    bool watches_room;   /* and tells of room to write, too */
    bool again;          /* bytes, or the end, may be there that no event will tell of */
    bool keep;           /* FCGI_KEEP_CONN of this request */
    bool ended;          /* the response is complete */
    bool hung;           /* the peer has closed its end, or the connection broke */
    uint8_t padding;     /* still to come behind `content` */
    uint16_t strays;     /* records in the body that were none of it */
    uint16_t id;         /* of this request */
    atomic_int fd;       /* the end of the process reads it, whoever is the owner */
    uint32_t content;    /* still to come of the current FCGI_STDIN record */
    size_t drained;      /* bytes of the body read for nothing */
    int64_t enqueued;    /* of clock_nanoseconds: when it was put into that list in
                            which requests wait for a worker; 0: it was not */
    enum io_status body; /* OK, or what every later read says */
    enum io_status output; /* OK, or what every later write says */
    struct connection_reader *reader;
    struct connection *next;
    struct record_head head;
    uint8_t *pending; /* received and unused bytes while no worker has it; of KIND_CUT
                         the bytes still to be sent; or NULL */
    size_t pending_len, pending_cap;
    struct rest *rest;     /* or NULL */
    bool stays;            /* after that the connection may be kept */
    atomic_bool waits;     /* `waiter` is set */
    struct waiter *waiter; /* of the request; under the waiters' lock (waiter.h) */
};

/* Threads read the clock at different moments: a start in the future is now. */
static inline unsigned slot_elapsed(unsigned now, unsigned since)
{
    return now - since > UINT32_MAX / 2 ? 0 : now - since;
}

/* Whether one more line about a peer's fault may go to the log in this second. */
bool slots_may_log_fault(struct connections *set);

/* An empty slot. No other thread gets it until it is returned, or opened and closed.
 * NULL: MaxConnections are open. */
struct connection *slot_take(struct connections *set);
void slot_return(struct connections *set, struct connection *c);

/* An empty slot becomes a connection, of the caller. */
void slot_open(struct connections *set, struct connection *c, int fd);

/* By the owner. A late event finds nothing. The slot is returned. */
void slot_close(struct connections *set, struct connection *c);

/* By the owner: the close that follows will be a reset, which no peer takes for the end
 * of a response. Only TCP has that. */
void slot_reset(struct connection *c);

/* By the owner: frees the bytes that no request has used. */
void slot_forget_pending(struct connection *c);

/* By the owner: frees what is left of its response. */
void slot_forget_rest(struct connections *set, struct connection *c);

/* What `c` waits for. Its time runs from slot_set_kind, which only the owner calls. */
void slot_set_kind(struct connection *c, enum slot_kind kind);
enum slot_kind slot_kind_of(struct connection *c);

/* Whether `c` was parked a moment ago: worth a try of slot_take_parked. */
bool slot_is_parked(struct connection *c);

/* The caller becomes the owner of a parked connection. false: another thread did. */
bool slot_take_parked(struct connection *c);

/* The connection that an event of the poller is for, the caller's from now on. NULL: it
 * is owned, and its owner looks again; then `*owned` is the connection. Or it is closed.
 */
struct connection *slot_claim(struct connections *set, const struct poller_event *event,
                              struct connection **owned);

/* By the owner, who goes on owning `c`: the poller tells of it from now on, with `output`
 * also of room to write. false: it cannot. */
bool slot_watch(struct connections *set, struct connection *c, bool output);

/* By the owner: whether the poller has told that the peer closed its end. */
bool slot_is_hung(struct connection *c);

/* By the owner: whether an event came since the connection became its own, or since the
 * last call of slot_take_news. */
bool slot_has_news(struct connection *c);
bool slot_take_news(struct connection *c);

/* By the owner, who gives `c` up. false: an event came meanwhile. `c` is still the
 * caller's, who must look at it. */
bool slot_park(struct connections *set, struct connection *c);

/* By the owner, who gives `c` up, between requests. Parks it, unless bytes are there
 * already. Then worker `r` looks at it next. After a number of times in a row `c` is
 * deferred instead. `r` is NULL in threads that are not workers. */
void slot_park_or_again(struct connections *set, struct connection_reader *r,
                        struct connection *c);

/* After a stop: closes `c` if it is parked, unless a request of it may still be served.
 */
void slot_close_if_stopping(struct connections *set, struct connection *c);

/* Whether the daemon was stopped a while ago, so that connections are no longer kept. */
bool slots_are_ending(struct connections *set);

/* Before and after a thread that is no worker takes connections: what it finds in them is
 * a worker's to serve. So no worker leaves meanwhile. */
void slots_borrow(struct connections *set);
void slots_return(struct connections *set);

/* By the owner, before it closes a connection that waits for a request: whether one, or
 * more of one, has come after all. Then `c` must be looked at: a close would throw the
 * request away, and the web server could not know whether it was served. */
bool slot_has_request(struct connection *c);

/* By the owner, who gives `c` up: it goes to the end of the list from which any worker
 * takes. slot_defer also wakes a worker, which wakes the next if more are in the list. */
void slot_enqueue(struct connections *set, struct connection *c);
void slot_defer(struct connections *set, struct connection *c);

/* By the owner, who has no memory for requests, and gives `c` up. A connection that has
 * bytes is enqueued, one that waits for some is parked, and one of which nothing more is
 * to come is closed. */
void slot_sort_out(struct connections *set, struct connection *c);

/* The first connection of that list, the caller's from now on. NULL: the list is empty.
 * `*more`: others are left in it. */
struct connection *slot_take_deferred(struct connections *set, bool *more);

/* After a stop: whether a connection may still have to be served. Closes the others. */
bool slots_anyone_left(struct connections *set);

#endif
