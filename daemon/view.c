/* A view of the daemon. Runs in whatever thread shows the status. What is static is
 * immutable once there are threads. */
#include "daemon/view.h"

#include "store/store.h"

#include <stdlib.h>

static const struct service *service;
static time_t started;

void view_init(const struct service *shared)
{
    service = shared;
    started = time(NULL);
}

static int count_busy(const struct view *v)
{
    int busy = 0;
    for (int i = 0; i < v->worker_count; i++)
        busy += v->workers[i].state != ACTIVITY_IDLE;
    return busy;
}

bool view_take(struct view *v)
{
    *v = (struct view){.service = service, .now = time(NULL), .started = started};
    if (service == NULL)
        return false;
    v->config = config_current();
    v->workers = activity_read(&v->worker_count);
    if (v->config == NULL || v->workers == NULL)
        return false;
    v->busy = count_busy(v);
    counters_read(&v->counters);
    v->connections = connections_read(service->connections);
    connections_read_queue(service->connections, &v->queue, &v->queue_limit);
    v->pool = pool_read(service->pool);
    v->most =
        history_see((struct history_most){v->busy, v->queue + v->connections.waiting});
    v->sessions = store_count(service->sessions);
    return true;
}

void view_free(struct view *v)
{
    free(v->workers);
    config_unref(v->config);
}
