/* libfcgi, which parses the parameters of a request. No other file knows it.
 *
 * A struct fcgi serves one request at a time and is used again for the next. It belongs
 * to whoever works on the request. libfcgi never sees a connection's descriptor: it reads
 * a feed. */
#ifndef LUAFCGID2_FASTCGI_FCGI_H
#define LUAFCGID2_FASTCGI_FCGI_H

#include "fastcgi/feed.h"
#include "fastcgi/record.h"
#include <stdbool.h>
#include <stddef.h>

struct fcgi;

/* Prepares libfcgi for the process. It installs handlers for SIGPIPE, SIGUSR1 and SIGTERM
 * where they have none. May be called again. false: it cannot be used. */
bool fcgi_start(void);

/* NULL: out of memory. */
struct fcgi *fcgi_create(void);
void fcgi_destroy(struct fcgi *f); /* NULL is allowed */

/* Hands libfcgi the head that record_pack has made, data[head->start, head->end) of the
 * feed, whose first `used` bytes are in use. All parameters are one to libfcgi, because
 * it allocates for each: they are head->params bytes at `*params`, for record_next_pair,
 * and a NUL. The memory is libfcgi's, may be changed, and lasts until fcgi_release. Does
 * not block. false: logged; only fcgi_release is left to do. */
bool fcgi_begin(struct fcgi *f, struct feed *feed, size_t used,
                const struct record_head *head, char **params);

/* The request is over: frees what fcgi_begin allocated. */
void fcgi_release(struct fcgi *f);

#endif
