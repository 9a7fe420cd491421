/* What each worker is doing, for whoever shows it.
 *
 * A worker notes the request that it takes up and how it ended, which takes no lock. A
 * reader gets a copy of all notes, each as it was at one moment. */
#ifndef LUAFCGID2_DAEMON_ACTIVITY_H
#define LUAFCGID2_DAEMON_ACTIVITY_H

#include "base/bytes.h"
#include "daemon/counters.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum {
    ACTIVITY_METHOD = 16, /* bytes that are noted of each, with a NUL; the rest is cut */
    ACTIVITY_TEXT = 256,
};

/* What a worker notes of a request; borrowed for the call. */
struct activity_request {
    struct bytes method, uri, user, script;
    int64_t content_length; /* 0: unknown */
    int64_t begun;          /* of clock_nanoseconds */
};

/* How a worker is. */
enum activity_state {
    ACTIVITY_IDLE,
    ACTIVITY_COMPUTES,
    ACTIVITY_WAITS, /* it has used no processor for a moment: for a device, a peer */
    ACTIVITY_STUCK, /* no limit reaches it, and another took its place */
};

/* A worker, as it is at one moment. Of an idle one the last request is told. */
struct activity_note {
    int id;     /* of the worker; Info.Thread */
    int thread; /* the system's number of it; where there is none, `id` */
    enum activity_state state;
    time_t started;
    unsigned long requests;       /* that it has answered */
    unsigned long received, sent; /* bytes of bodies and of responses, so far */
    int64_t duration;             /* ns: how long it took, or takes */
    int64_t content_length;       /* 0: unknown */
    double processor; /* part of a processor that the last requests used, 0 to 1 */
    size_t memory;    /* bytes of the state after the last request; 0: unknown */
    char method[ACTIVITY_METHOD], uri[ACTIVITY_TEXT], user[ACTIVITY_TEXT];
    char script[ACTIVITY_TEXT];
};

struct activity;

/* The calling worker's, which counts its bytes in `counters`; these must last as long.
 * NULL: out of memory. */
struct activity *activity_create(int id, const struct counters *counters);
void activity_destroy(struct activity *a); /* NULL is allowed */

/* By the worker: it works on a request from now on. */
void activity_begin(struct activity *a, const struct activity_request *r);

/* It does so no more. `ended`, of clock_nanoseconds, is when the answer was there; 0: it
 * is not, the request only rests. `memory`, in bytes, as of the note. */
void activity_end(struct activity *a, int64_t ended, size_t memory);

/* The heartbeat, or whoever knows: worker `id` is stuck. It is until it ends a request.
 */
void activity_mark_stuck(int id);

/* Makes a list of the notes of all workers, by their numbers, in memory that the caller
 * must free. `*count`: how many; < 0: out of memory. Any thread; waits for no worker. */
struct activity_note *activity_read(int *count);

#endif
