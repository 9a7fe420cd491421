/* The last minutes, second by second: what the charts of the status page show, and the
 * most that was ever seen. */
#ifndef LUAFCGID2_DAEMON_HISTORY_H
#define LUAFCGID2_DAEMON_HISTORY_H

#include "daemon/service.h"

#include <stdbool.h>
#include <stdint.h>

enum { HISTORY_SECONDS = 300 };

/* One second. */
struct history_second {
    unsigned requests, errors;
    uint64_t time; /* microseconds that the answers took, together */
    int busy;      /* workers, at its end */
    int waiting;   /* requests, at its end */
};

/* The most that was ever seen. */
struct history_most {
    int busy;    /* workers */
    int waiting; /* connections in the listening socket's queue, and requests that waited
                    for a worker */
};

/* What waits, as of the last look. */
struct history_queue {
    int to_accept;          /* connections in the listening socket's queue */
    int waiting;            /* requests for which there was no free worker */
    unsigned seconds_grown; /* since the start: in which both together grew for seconds
                               on end, or in which the former was full */
};

/* Starts the thread that looks once a second. It keeps what it sees while the
 * configuration wants the status.
 * false: it cannot be started, as the log says. Main thread. */
bool history_start(const struct service *service);

/* Ends it. Main thread. */
void history_stop(void);

/* Copies what is known, the oldest second first. Returns how many seconds. Any thread. */
int history_read(struct history_second seconds[HISTORY_SECONDS]);

/* Any thread. */
struct history_queue history_queue(void);

/* Somebody has seen this; returns the most, this included. Any thread. */
struct history_most history_see(struct history_most now);

#endif
