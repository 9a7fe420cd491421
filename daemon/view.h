/* A view of the daemon: what the status is made of, read in one go, so that figures that
 * belong together agree. */
#ifndef LUAFCGID2_DAEMON_VIEW_H
#define LUAFCGID2_DAEMON_VIEW_H

#include "config.h"
#include "daemon/activity.h"
#include "daemon/counters.h"
#include "daemon/history.h"
#include "daemon/service.h"

struct view {
    const struct service *service;
    struct config *config;
    time_t now, started;
    struct counters_totals counters;
    struct activity_note *workers;
    int worker_count, busy; /* workers; those that have a request */
    struct connections_figures connections;
    int queue, queue_limit; /* of the listening socket */
    struct pool_figures pool;
    struct history_most most;
    size_t sessions;
};

/* What all views are of; notes that the daemon starts now. Main thread, before others. */
void view_init(const struct service *service);

/* false: out of memory, or there is no service. view_free in any case. Any thread; waits
 * for nobody. */
bool view_take(struct view *v);
void view_free(struct view *v);

#endif
