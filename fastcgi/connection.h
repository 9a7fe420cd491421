/* Connections of web servers: the listener, the poller, deadlines, and the record layer
 * of FastCGI.
 *
 * Accepted and kept connections wait in one poller shared by all workers. A worker gets a
 * connection only when a whole, valid request head has arrived, so no peer can hold a
 * worker by sending half of one. Parameters are parsed by libfcgi (FCGX_Accept_r); the
 * body is read, and the response written, by this room, each with its deadline.
 * "FastCGI n" in comments is a section of the FastCGI 1.0 specification. */
#ifndef LUAFCGID2_FASTCGI_CONNECTION_H
#define LUAFCGID2_FASTCGI_CONNECTION_H

#include "config.h"
#include <fcgiapp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* -- The listening socket: main thread only -- */

/* Binds and listens as `config` says; CLOEXEC and non-blocking. Replaces a stale unix
 * socket, refuses a live one or any other file. A socket passed by systemd
 * (sd_listen_fds(3)) is used in place of Listen; `Listen = "fd:N"` is an inherited one
 * too, as spawn-fcgi(1) leaves. -1: `error` has one line for the user. Changes the umask
 * for a moment and the environment: call it before there are threads. */
int connection_listen(const struct config *config, char *error, size_t size);

/* Unlinks the unix socket that connection_listen bound, if it still is there. Inherited
 * sockets are left alone. */
void connection_unlink(void);

/* -- The set of connections -- */

struct connections;
struct connection; /* owned by the worker that got it, until connection_release */

/* Takes over `listener` (-1: none). `max_connections`, `max_head_size`, `worker_threads`
 * are fixed for its life. Calls FCGX_Init. NULL with errno; `listener` then stays the
 * caller's. */
struct connections *connections_create(int listener, const struct config *config);

/* Adds a connected socket, which the set closes from now on: what the listener does for
 * each it accepts. false: MaxConnections are open. Any thread. */
bool connections_adopt(struct connections *set, int fd);

void connections_destroy(struct connections *set); /* closes everything; no worker left */

/* Heartbeat, about once a second: closes connections whose head is later than
 * ReadTimeout, or that were idle longer than KeepAliveTimeout. */
void connections_sweep(struct connections *set, const struct config *config);

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

/* Reads the head into `fcgi` through FCGX_Accept_r. `fcgi` was FCGX_InitRequest'ed once
 * by the worker, with listening socket -1. The parameters are `*len` bytes at `*params`,
 * for record_next_pair, and a NUL: libfcgi's memory, which may be changed, until the
 * connection is released. (All are one to libfcgi, in fcgi->envp[1], because it allocates
 * for each.) false: the request must not run; release the connection with keep = false.
 */
bool connection_begin(struct connection *c, FCGX_Request *fcgi, char **params,
                      size_t *len);

enum connection_status {
    CONNECTION_OK,
    CONNECTION_END, /* the body is over: the empty FCGI_STDIN was read */
    CONNECTION_TIMEOUT,
    CONNECTION_ABORTED, /* the peer is gone, sent FCGI_ABORT_REQUEST or broke the protocol
                         */
};

/* Up to `size` bytes of the body (FCGI_STDIN), at least one when CONNECTION_OK. Waits at
 * most `timeout` milliseconds (< 0: for ever) for the peer's next byte.
 * CONNECTION_TIMEOUT may be tried again; CONNECTION_END and CONNECTION_ABORTED stay. */
enum connection_status connection_read(struct connection *c, void *data, size_t size,
                                       size_t *got, int64_t timeout);

/* Writes the bytes of `parts`, at most 64, as FCGI_STDOUT records, and with `end` the
 * records that end the request (FastCGI 5.5; protocol status FCGI_REQUEST_COMPLETE): all
 * of it in one system call when the socket takes it. Waits at most `timeout` ms (< 0: for
 * ever) without progress. What is not CONNECTION_OK stays, and costs no system call any
 * more. `parts` is changed. Call it once with `end`. */
enum connection_status connection_write(struct connection *c, struct iovec *parts,
                                        int count, bool end, int64_t timeout);

/* Whether the peer asked to keep the connection (FCGI_KEEP_CONN, FastCGI 5.1). */
bool connection_wants_keep(const struct connection *c);

/* The request is over: frees what FCGX_Accept_r allocated, then parks the connection, if
 * `keep` and the peer asked for it and the response was written with `end`, or closes it.
 * A response that has begun and is not whole is followed by a record with which every web
 * server tells an error from an end, as soon as the peer takes it, for WriteTimeout at
 * most. What is left of the body is dropped first: at most 256 KiB and for 2 s, in the
 * poller and not here, or the connection closes after all. Never blocks (but for up to a
 * second when stopping); a close never cuts off what was written. `c` is no longer the
 * caller's.
 */
void connection_release(struct connections *set, struct connection *c, FCGX_Request *fcgi,
                        bool keep);

#endif
