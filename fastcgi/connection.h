/* Connections of web servers: the listener, the poller, deadlines, and the record layer
 * of FastCGI.
 *
 * Accepted and kept connections wait in one poller shared by all workers. A worker gets a
 * connection only when a whole, valid request head has arrived, so no peer can hold a
 * worker by sending half of one. Parameters are parsed by libfcgi (fastcgi/fcgi.h); the
 * body is read, and the response written, by fastcgi/stream.h, each with its deadline.
 * "FastCGI n" in comments is a section of the FastCGI 1.0 specification. */
#ifndef LUAFCGID2_FASTCGI_CONNECTION_H
#define LUAFCGID2_FASTCGI_CONNECTION_H

#include "config.h"
#include <stdbool.h>
#include <stddef.h>

/* -- The set of connections -- */

struct connections;
struct waiter;
struct connection; /* owned by the worker that got it, until connection_release */

/* Takes over `listener` (-1: none). `max_connections`, `max_head_size`, `worker_threads`
 * are fixed for its life. Calls fcgi_start. NULL with errno; `listener` then stays the
 * caller's. */
struct connections *connections_create(int listener, const struct config *config);

/* Adds a connected socket as if it had been accepted. The set will close it. false:
 * MaxConnections are open. Any thread. */
bool connections_adopt(struct connections *set, int fd);

void connections_destroy(struct connections *set); /* closes everything; no worker left */

/* Heartbeat, about once a second: closes connections whose head is later than
 * ReadTimeout, or that were idle longer than KeepAliveTimeout. */
void connections_tick(struct connections *set, const struct config *config);

/* Shutdown: refuses new connections, wakes every worker. Peers that connected before are
 * still served, if their first request comes within a second, or the next one within a
 * tenth of a second. Then the connections are closed, and connection_wait returns NULL.
 * Requests that wait do so no longer.
 * Any thread, once. */
void connections_stop(struct connections *set);

/* The process is about to end, though workers still have requests: tells their peers that
 * the responses which have begun are not whole. The workers may write no more of these.
 * Any thread, once; does not block. */
void connections_cut_all(struct connections *set);

/* Whether connections_stop was called. */
bool connections_are_stopping(const struct connections *set);

/* How many are open. */
size_t connections_count(const struct connections *set);

struct connections_figures {
    int open;
    int parked;     /* wait for the next request */
    int incomplete; /* have sent a part of a head, or nothing yet */
    int leaving;    /* their response is done, and not all is drained, sent or closed */
    int resting;    /* requests that wait without a worker (fastcgi/waiter.h) */
    int waiting;    /* requests for which there was no free worker */
    unsigned evictions; /* connections that were closed to make room for others, ever */
};

/* Of these `waiting` alone. Any thread. */
int connections_waiting(struct connections *set);

/* Any thread; looks at each connection. */
struct connections_figures connections_read(struct connections *set);

/* Whether there is room for connections. */
struct connections_shortage {
    unsigned failures; /* how often one could not be accepted, ever; it wraps around */
    int error;         /* why, the last time: an errno; 0: MaxConnections were open */
    bool lasts;        /* one waits to be accepted */
};

/* Any thread. */
struct connections_shortage connections_read_shortage(struct connections *set);

/* How many connections are in the listening socket's queue, and how many the system lets
 * in; 0 where it does not tell. false: it tells neither. Any thread. */
bool connections_read_queue(const struct connections *set, int *waiting, int *most);

/* -- A worker's side -- */

struct connection_reader; /* a worker's memory for looking at heads */
struct connection_reader *connection_reader_create(const struct connections *set);

/* Before the set is. Leaves to any worker what was left to this one. */
void connection_reader_destroy(struct connection_reader *r);

/* Blocks until a connection has a whole valid head, and takes it. NULL: a request that
 * has waited goes on (connection_take_ready), or the daemon stops, or the worker is one
 * too many (jam_dismiss). */
struct connection *connection_wait(struct connections *set, struct connection_reader *r);

/* When the request on `c` was seen, of clock_nanoseconds, if all workers were busy then;
 * 0: a worker took it at once. By the worker that has taken it, once. While all workers
 * are busy, the governor looks now and then, so a request may have come up to 30 ms
 * before. */
int64_t connection_take_enqueued(struct connection *c);

/* After NULL: a request that has waited (fastcgi/waiter.h) and is to go on, the caller's.
 * NULL: there is none. */
struct waiter *connection_take_ready(struct connection_reader *r);

/* For the middle of a request, for example while its script waits: another thread may go
 * on with it. connection_lay_down takes the bytes that are not yet read out of the
 * reader's memory, which is then free for another connection; connection_take_up puts
 * them into that of the thread that goes on. Between the two nothing else may be done
 * with `c`. If there is no memory for the bytes, the body counts as broken off.
 * connection_take_up does nothing for a connection that its reader has just found.
 * Neither blocks. */
void connection_lay_down(struct connection *c);
void connection_take_up(struct connection *c, struct connection_reader *r);

/* Whether the peer has closed its end, or has aborted the request (fastcgi/abort.h), or
 * the connection has broken: whatever is read or written would be for nobody. Bytes that
 * came before do not matter. By the owner. */
bool connection_is_gone(const struct connection *c);

/* The request is over. Parks the connection if `keep` is true, the peer asked for it, and
 * the response was written to its end; or if the peer has aborted the request, which is
 * told then that it is over. Else closes it. What stream_end has kept is sent before, as
 * the peer takes it. The rest of the body is dropped first. If it is more than 256 KiB or
 * takes more than 2 s, the connection is closed after all. If the response has begun and
 * is not whole, a record follows that every web server takes for an error. It is sent as
 * soon as the peer takes it, within WriteTimeout. A close never cuts off what was
 * written. Does not block; during a stop it may, for up to a second. `c` is no longer the
 * caller's. */
void connection_release(struct connections *set, struct connection *c, bool keep);

/* A connection that was released may have been left to its worker, which looks at it when
 * it waits next. If that is not soon, this leaves it to any worker. */
void connection_pass_on(struct connection_reader *r);

#endif
