/* What the files of the connection room share: connection.c, which keeps the set, and
 * connection_io.c, which serves one request of one connection. Nobody else includes it.
 */
#ifndef LUAFCGID2_CONNECTION_PRIVATE_H
#define LUAFCGID2_CONNECTION_PRIVATE_H

#include "connection.h"
#include "feed.h"
#include "record.h"
#include <stdatomic.h>

enum {
    DRAIN_LIMIT = 262144, /* bytes of an unread body that a kept connection may cost */
    CLOSING_TIME = 2000,  /* ms that a body may drain, or a closing peer may linger */
};

/* What a connection in the poller waits for. */
enum connection_kind {
    KIND_HEAD,   /* the (rest of the) head of a request: ReadTimeout */
    KIND_IDLE,   /* the first byte of the next request: KeepAliveTimeout */
    KIND_DRAIN,  /* the rest of a body that the script did not read: CLOSING_TIME */
    KIND_LINGER, /* the peer to have read our last bytes and to close: CLOSING_TIME */
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

/* `word`, `since` and `kind` are atomic. All else belongs to the owner: who moved `word`
 * to BUSY, until who moves it on. `next` is under the set's lock while the connection is
 * in one of its lists. */
struct connection {
    atomic_uint word;  /* generation << 3 | state, see connection.c */
    atomic_uint since; /* clock of connection.c, ms: when it began to wait */
    atomic_uchar kind; /* enum connection_kind */
    bool added;        /* the poller has it */
    bool again;        /* bytes, or the end, may be there that no event will tell of */
    bool keep;         /* FCGI_KEEP_CONN of this request */
    bool ended;        /* the response is complete */
    uint8_t padding;   /* still to come behind `content` */
    uint16_t strays;   /* records in the body that were none of it */
    uint16_t id;       /* of this request */
    int fd;
    uint32_t content;              /* still to come of the current FCGI_STDIN record */
    size_t drained;                /* bytes of the body read for nothing */
    enum connection_status body;   /* OK, or what every later read says */
    enum connection_status output; /* OK, or what every later write says */
    struct connection_reader *reader;
    struct connection *next;
    struct record_head head;
    uint8_t *pending; /* received and unused bytes while no worker has it; or NULL */
    size_t pending_len, pending_cap;
};

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

/* FCGI_MAX_CONNS and FCGI_MAX_REQS. */
unsigned connections_limit(const struct connections *set);
unsigned connections_workers(const struct connections *set);
size_t connections_max_head(const struct connections *set);

#endif
