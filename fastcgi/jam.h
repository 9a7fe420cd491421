/* Whether requests wait because every worker is busy.
 *
 * The governor (daemon/governor.c), one thread, asks. It sleeps while a worker is free,
 * and costs nothing then. While all workers are busy, none of them looks into the poller.
 * So the governor does, and puts the connections that have a request, or a part of one,
 * into the list from which any worker takes. The workers' part is called by
 * fastcgi/connection.c alone. */
#ifndef LUAFCGID2_FASTCGI_JAM_H
#define LUAFCGID2_FASTCGI_JAM_H

#include <stdbool.h>
#include <stdint.h>

struct connections;

/* -- The governor's side -- */

/* Blocks until every worker is busy, for at most `timeout` milliseconds (< 0: for ever).
 * false: time is over, or the daemon stops. */
bool jam_await_busy(struct connections *set, int64_t timeout);

/* Blocks until a request waits, or another event comes, for at most `timeout`
 * milliseconds (< 0: for ever), or the daemon stops. false: no request waits. */
bool jam_await_request(struct connections *set, int timeout);

/* Marks the end of what waits now. */
void jam_mark(struct connections *set);

/* Whether all that waited at the mark has been taken since. */
bool jam_is_passed(struct connections *set);

/* How many workers are free. */
int jam_idle(const struct connections *set);

/* So many free workers are to leave: connection_wait returns NULL to them, now or when
 * they are free again. Replaces the number of the last call. */
void jam_dismiss(struct connections *set, int count);

/* -- The connections' side -- */

void jam_init(struct connections *set);
void jam_destroy(struct connections *set);

/* The daemon stops: ends the governor's sleep. */
void jam_stop(struct connections *set);

/* Around each wait in the poller. */
void jam_enter(struct connections *set);
void jam_leave(struct connections *set);

/* Whether the calling worker is to leave. If others are, too, wakes one. */
bool jam_take_dismissal(struct connections *set);

#endif
