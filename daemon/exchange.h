/* An exchange: one request on its way, from its head to the last byte of its response.
 *
 * It holds all that belongs to the request: the connection and the bytes of it that are
 * not yet read, the parsed request, what its script's functions know of it, the script,
 * the time that is left, and the name that log lines bear. None of that belongs to a
 * thread. Whoever works on an exchange owns it, and it may pass from one to another.
 *
 * A worker works on one exchange at a time. exchange_take_up makes the thread run it: the
 * log's lines name its script, its clock runs, and the thread stands in the script's
 * directory. exchange_lay_down ends all of that. No other function sets or clears such
 * state of a thread for a request.
 *
 *     open, take up, run, finish, check in, lay down, close
 *
 * While its script waits no thread has it:
 *
 *     ... run, lay down, wait; ready, take up, run ... */
#ifndef LUAFCGID2_DAEMON_EXCHANGE_H
#define LUAFCGID2_DAEMON_EXCHANGE_H

#include "daemon/service.h"
#include "lua/directory.h"
#include <stdbool.h>

struct activity;
struct counters;
struct exchange;
struct peer_operations;

/* A worker, as the exchange that it takes up sees it. The worker's own. */
struct exchange_worker {
    int id; /* Info.Thread */
    struct connection_reader *reader;
    struct directory directory;
    struct counters *counters;
    struct activity *activity;
};

/* Exchanges that are over, kept with their memory for the next ones: a worker's own,
 * without a lock. Zeroed before exchanges_open. */
struct exchanges {
    const struct service *service;
    struct exchange *first;
    int count;
};

/* Makes the first, so that a worker that has begun can serve when memory is short. false:
 * out of memory. */
bool exchanges_open(struct exchanges *kept, const struct service *service);
void exchanges_close(struct exchanges *kept);

/* Begins with the request whose head has arrived on `c`, which the exchange takes over.
 * By the thread that connection_wait gave `c` to. NULL: the request cannot be answered,
 * and `c` was released. Does not block. */
struct exchange *exchange_open(struct exchanges *kept, struct connection *c);

/* The same for a request of another peer (request/peer.h), which is not a web server's
 * connection. The service needs no connections, and `w` no reader then. NULL: it cannot
 * be answered. */
struct exchange *exchange_open_peer(struct exchanges *kept,
                                    const struct peer_operations *operations,
                                    void *context);

/* The calling thread, `w`, runs the exchange from now on. May block as long as it takes
 * to enter the script's directory. */
void exchange_take_up(struct exchange *x, struct exchange_worker *w);

/* The calling thread does not run it any more. One that is not finished may be taken up
 * again, by any thread: what is not read of the request is kept, and the time limit
 * stands still meanwhile. */
void exchange_lay_down(struct exchange *x);

/* Runs the script for the request, or refuses it, and makes the response. Blocks for as
 * long as the script computes. While taken up, as the next two are. false: the script
 * waits. Then the exchange is to be laid down and left to exchange_wait. */
bool exchange_run(struct exchange *x);

/* After exchange_lay_down, when exchange_run has returned false: the exchange waits, and
 * whoever gets it from exchange_ready goes on with it, to take it up and run it again.
 * From now on it is not the caller's. */
void exchange_wait(struct exchange *x);

/* The exchange that is to go on, if connection_wait has found one; else NULL. */
struct exchange *exchange_ready(struct connection_reader *reader);

/* Sends what is left of the response and releases the connection. */
void exchange_finish(struct exchange *x);

/* Gives the script's state back, after it has collected its garbage. */
void exchange_check_in(struct exchange *x);

/* It is over and laid down: its memory goes to `kept`, or is freed. */
void exchange_close(struct exchange *x, struct exchanges *kept);

#endif
