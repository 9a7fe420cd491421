/* The body of a request, on its way in: how much of it has come, how long that may take,
 * and how it ended.
 *
 * Owned by a request; used by the thread that works on it. */
#ifndef LUAFCGID2_REQUEST_BODY_H
#define LUAFCGID2_REQUEST_BODY_H

#include "config.h"
#include "request/params.h"
#include "request/peer.h"

#include <stddef.h>
#include <stdint.h>

enum body_state {
    BODY_COMING,
    BODY_OVER,
    BODY_FAILED,    /* it stopped, or ended before its length */
    BODY_TOO_LARGE, /* larger than `max` */
};

struct body {
    struct peer *peer;
    const struct config *config;
    const struct params *params;
    enum body_state state;
    int64_t max;      /* bytes; 0: no limit. MaxPostSize to begin with */
    int64_t received; /* bytes */
    int64_t awaited;  /* milliseconds that it was waited for */
};

/* Begins with the body of the request that has these parameters. All three are borrowed
 * until the next call. */
void body_begin(struct body *b, struct peer *peer, const struct config *config,
                const struct params *params);

/* Bytes that are still to come; -1: unknown. */
int64_t body_left(const struct body *b);

/* Up to `size` bytes; 0 when no more are to come, as `state` then says. Blocks for
 * ReadTimeout at most. All waits together may take RequestTimeout, and a second more for
 * each thousand bytes that have come. The request's clock stands still meanwhile. */
size_t body_read(struct body *b, void *data, size_t size);

/* The same without waiting. `*later`: nothing is there yet. */
size_t body_try_read(struct body *b, void *data, size_t size, bool *later);

/* For who waits himself: milliseconds that it may take until the next byte comes, -1: for
 * ever; and how long it was waited for, and whether that was too long. */
int64_t body_patience(const struct body *b);
void body_note_wait(struct body *b, int64_t awaited, bool late);

#endif
