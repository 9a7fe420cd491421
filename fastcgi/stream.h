/* One request of one connection: its head handed to libfcgi, its body read, its response
 * written.
 *
 * The owner of the connection calls these. "FastCGI n" is a section of the FastCGI 1.0
 * specification. */
#ifndef LUAFCGID2_FASTCGI_STREAM_H
#define LUAFCGID2_FASTCGI_STREAM_H

#include "base/buffer.h"
#include "fastcgi/fcgi.h"
#include "fastcgi/io.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

struct connection;

/* Reads the head that connection_wait has found into `fcgi`. The parameters are `*len`
 * bytes at `*params` and a NUL, see fcgi_begin, until fcgi_release. Does not block.
 * false: the request must not run; release both, the connection with keep = false. */
bool stream_begin(struct connection *c, struct fcgi *fcgi, char **params, size_t *len);

/* Up to `size` bytes of the body (FCGI_STDIN), at least one when IO_OK. Waits at most
 * `timeout` milliseconds (< 0: for ever) for the peer's next byte. IO_TIMEOUT may be
 * tried again; IO_END and IO_ABORTED stay. */
enum io_status stream_read(struct connection *c, void *data, size_t size, size_t *got,
                           int64_t timeout);

/* Writes the bytes of `parts`, at most 64, as FCGI_STDOUT records, and with `end` the
 * records that end the request (FastCGI 5.5; protocol status FCGI_REQUEST_COMPLETE): all
 * of it in one system call when the socket takes it. Waits at most `timeout` ms (< 0: for
 * ever) without progress. After another status than IO_OK every later call returns the
 * same, without a system call. Call it once with `end`. */
enum io_status stream_write(struct connection *c, const struct iovec *parts, int count,
                            bool end, int64_t timeout);

/* As stream_end, but the response goes on: while something is kept, stream_settle is
 * next. Other writes wait until it is out. */
enum io_status stream_push(struct connection *c, struct iovec head, struct buffer *body,
                           int64_t timeout);

/* Goes on with what stream_push has kept. IO_END: all of it is out. With a timeout of 0
 * it does not wait: IO_OK: the peer has taken some of it; IO_TIMEOUT: nothing. Else it
 * waits as stream_write does, and after IO_TIMEOUT as after stream_give_up nothing more
 * can be written. */
enum io_status stream_settle(struct connection *c, int64_t timeout);

/* The peer has not taken it for too long. */
void stream_give_up(struct connection *c);

/* Writes a message for the web server's own log, as an FCGI_STDERR record of at most 8
 * KiB, before the end of the response. Does not wait. If a part of the response is out,
 * this is the last that is written of it: what the peer does not take at once is sent
 * after connection_release. Else a peer that reads nothing does not get it. */
enum io_status stream_report(struct connection *c, const char *message, size_t len);
/* Writes `head`, all of `body`, and the end of the request. What the peer does not take
 * at once is kept with the connection, and is sent after connection_release: then
 * `body` may have lost its memory, and is empty. Waits as stream_write does only while
 * such responses hold all that MaxPendingOutput allows, or there is no memory. Instead of
 * stream_write with `end`. */
enum io_status stream_end(struct connection *c, struct iovec head, struct buffer *body,
                          int64_t timeout);

/* Reads and drops what is there of the body, without waiting. IO_OK: nothing more is
 * there yet. IO_END: the body is over; what is left in the reader's memory is the next
 * request's. IO_ABORTED: broken, or more than 256 KiB were dropped. */
enum io_status stream_drain(struct connection *c);

#endif
