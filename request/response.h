/* The response to a request: its head, what is buffered of its body, and how much of it
 * has gone out.
 *
 * Owned by a request; used by the thread that works on it. Its memory is kept for the
 * next one. Zeroed memory is an empty one, for response_begin. */
#ifndef LUAFCGID2_REQUEST_RESPONSE_H
#define LUAFCGID2_REQUEST_RESPONSE_H

#include "base/buffer.h"
#include "config.h"
#include "request/head.h"
#include "request/peer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct page_detail;

struct response {
    struct peer *peer;
    struct config *config;
    bool of_head; /* the request is HEAD: the body does not go out */
    struct head head;
    struct buffer head_text, body; /* to be sent */
    bool buffering;
    bool head_sent; /* something went out: status and headers are history */
    bool body_sent; /* some of the body went out */
    uint64_t sent;  /* bytes of it, if the peer was there */
};

/* Begins with a new one. `peer` and `config` are borrowed until the next call. false: out
 * of memory. */
bool response_begin(struct response *r, struct peer *peer, struct config *config,
                    bool of_head);
void response_free(struct response *r);

/* Gives back the memory that is not in use just now. */
void response_rest(struct response *r);

/* Appends to the body. Sends it at once without buffering, and now and then when the head
 * is out. Sending blocks for WriteTimeout at most. false: out of memory. */
bool response_send(struct response *r, const void *data, size_t len);

/* Sends the head, once, and all that is buffered. false: out of memory. */
bool response_flush(struct response *r);

/* The same without waiting: what the peer does not take at once is kept for it, and
 * response_settle is next. Waits only where no more may be kept (MaxPendingOutput). */
bool response_push(struct response *r);

/* Goes on with that. true: it is out, or nobody is there to take it. `*moved`: some of it
 * is. With `waits` it waits for WriteTimeout at most. */
bool response_settle(struct response *r, bool waits, bool *moved);

/* The two halves of response_send: appends only; whether that is to be sent now. */
bool response_append(struct response *r, const void *data, size_t len);
bool response_is_due(const struct response *r);

/* Drops the body that is buffered, and with `all` status and headers, too. */
void response_reset(struct response *r, bool all);

/* Makes it the page for a failure (http/page.h). Once the head is out, it can only be cut
 * off. */
void response_fail(struct response *r, int status, const char *path,
                   const struct page_detail *detail);

/* Sends what is left and ends it. What the peer does not take at once may leave with it,
 * together with the memory of `body`. One that is cut off is not ended: the peer must
 * close, so that nobody takes it for a whole one. */
void response_finish(struct response *r);

#endif
