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
struct connection; /* owned by the worker that got it, until connection_release */

/* Takes over `listener` (-1: none). `max_connections`, `max_head_size`, `worker_threads`
 * are fixed for its life. Calls fcgi_start. NULL with errno; `listener` then stays the
 * caller's. */
struct connections *connections_create(int listener, const struct config *config);

/* Adds a connected socket, which the set closes from now on: what the listener does for
 * each it accepts. false: MaxConnections are open. Any thread. */
bool connections_adopt(struct connections *set, int fd);

void connections_destroy(struct connections *set); /* closes everything; no worker left */

/* Heartbeat, about once a second: closes connections whose head is later than
 * ReadTimeout, or that were idle longer than KeepAliveTimeout. */
void connections_tick(struct connections *set, const struct config *config);

/* Shutdown: refuses new connections, wakes every worker. Who connected before is served,
 * if its first request comes within a second, or another within a tenth of one, in which
 * it may be on its way; then connections are closed, and connection_wait returns NULL.
 * Any thread, once. */
void connections_stop(struct connections *set);

/* The process is about to end, though workers still have requests: tells their peers that
 * the responses which have begun are not whole. The workers may write no more of these.
 * Any thread, once; does not block. */
void connections_cut_all(struct connections *set);

/* How many are open. */
size_t connections_count(const struct connections *set);

/* -- A worker's side -- */

struct connection_reader; /* a worker's memory for looking at heads */
struct connection_reader *connection_reader_create(const struct connections *set);
void connection_reader_destroy(struct connection_reader *r);

/* Blocks until a connection has a whole valid head, and takes it. NULL: stopping. */
struct connection *connection_wait(struct connections *set, struct connection_reader *r);

/* In the middle of a request, whose script waits perhaps: another thread may go on with
 * it. connection_lay_down takes the bytes that are not yet read out of the reader's
 * memory, which is then free for another connection; connection_take_up puts them into
 * that of the thread that goes on. Between the two nothing else may be done with `c`. If
 * there is no memory for the bytes, the body counts as broken off. connection_take_up
 * does nothing for a connection that its reader has just found. Neither blocks. */
void connection_lay_down(struct connection *c);
void connection_take_up(struct connection *c, struct connection_reader *r);

/* The request is over: parks the connection, if `keep` and the peer asked for it and the
 * response was written with `end`, or closes it.
 * A response that has begun and is not whole is followed by a record with which every web
 * server tells an error from an end, as soon as the peer takes it, for WriteTimeout at
 * most. What is left of the body is dropped first: at most 256 KiB and for 2 s, in the
 * poller and not here, or the connection closes after all. Never blocks (but for up to a
 * second when stopping); a close never cuts off what was written. `c` is no longer the
 * caller's. */
void connection_release(struct connections *set, struct connection *c, bool keep);

#endif
