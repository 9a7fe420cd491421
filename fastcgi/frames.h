/* A response as FCGI_STDOUT records (FastCGI 6.2), and how much of it has gone out.
 *
 * Every record but the last is full. So how many bytes have been sent tells which record
 * is open, and no more needs to be kept of one that the peer takes in pieces. Pure
 * functions over memory. */
#ifndef LUAFCGID2_FASTCGI_FRAMES_H
#define LUAFCGID2_FASTCGI_FRAMES_H

#include "fastcgi/record.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
    FRAMES_PARTS = 64, /* most that the content may be in */
    FRAMES_RECORDS = 32,
    FRAMES_BATCH = 2 * FRAMES_RECORDS + FRAMES_PARTS + 1,
    FRAMES_FULL = RECORD_HEADER_SIZE + RECORD_MAX_STDOUT,
    FRAMES_CLOSING = RECORD_HEADER_SIZE + RECORD_END_SIZE,
};

struct frames {
    const struct iovec *parts; /* the content; not changed */
    int count;
    size_t content;        /* bytes in the parts together */
    size_t sent;           /* bytes of the records that have gone out */
    uint16_t id;           /* of the request */
    enum record_type type; /* FCGI_STDOUT, or another */
    bool closes;           /* the records that end the request come last */
};

/* One system call's worth. It points into the content and into itself. */
struct frames_batch {
    int count;
    struct iovec parts[FRAMES_BATCH];
    uint8_t headers[FRAMES_RECORDS][RECORD_HEADER_SIZE];
    uint8_t closing[FRAMES_CLOSING];
};

/* None of it has gone out yet. */
struct frames frames_of(const struct iovec *parts, int count, uint16_t id, bool closes);

/* Bytes of records that are still to be sent; 0: all of it is out. */
size_t frames_left(const struct frames *f);

/* The next of these, as many as fit. */
void frames_fill(struct frames_batch *b, const struct frames *f);

/* Bytes that the peer still has to get of the record that it has got a part of. */
size_t frames_open(const struct frames *f);

/* Copies these bytes to `out`. */
void frames_copy_open(const struct frames *f, uint8_t *out);

/* The same for all that is left of frames that fit a batch. */
void frames_copy_left(const struct frames *f, uint8_t *out);

/* The first byte of the content that is still to be sent. */
size_t frames_content_sent(const struct frames *f);

#endif
