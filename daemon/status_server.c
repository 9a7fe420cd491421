/* The thread of StatusListen. It has a set of connections of its own, with the poller and
 * the deadlines of such a set, and answers its requests one after the other. What is
 * static is immutable while the thread runs. */
#include "daemon/status_server.h"

#include "base/crew.h"
#include "base/log.h"
#include "daemon/exchange.h"

#include <errno.h>
#include <string.h>

enum { MOST_CONNECTIONS = 64 };

static bool work(int id);

static struct service own; /* connections: NULL when there is no thread */
static struct crew crew = CREW("status", work, 0);

static void serve(struct exchanges *kept, struct exchange_worker *w, struct connection *c)
{
    struct exchange *x = exchange_open(kept, c);
    if (x == NULL)
        return;
    exchange_take_up(x, w);
    exchange_run(x);
    exchange_finish(x);
    exchange_check_in(x);
    exchange_lay_down(x);
    exchange_close(x, kept);
}

static bool work(int id)
{
    (void)id;
    struct exchange_worker w = {.reader = connection_reader_create(own.connections)};
    struct exchanges kept = {0};
    struct connection *c;
    if (w.reader == NULL)
        return false;
    exchanges_open(&kept, &own); /* without memory now, it is tried at each request */
    crew_begun(&crew);
    while ((c = connection_wait(own.connections, w.reader)) != NULL)
        serve(&kept, &w, c);
    exchanges_close(&kept);
    connection_reader_destroy(w.reader);
    return true;
}

bool status_server_start(const struct service *service, int listener,
                         const struct config *config)
{
    if (listener < 0)
        return true;
    struct config few = *config; /* of which connections_create keeps nothing */
    few.max_connections = MOST_CONNECTIONS;
    few.worker_threads = 1;
    own = *service;
    own.is_status = true;
    own.connections = connections_create(listener, &few);
    if (own.connections != NULL && crew_start(&crew, 1, 0))
        return true;
    log_error("StatusListen: cannot start its thread: %s", strerror(errno));
    status_server_destroy();
    return false;
}

void status_server_tick(const struct config *config)
{
    if (own.connections != NULL)
        connections_tick(own.connections, config);
}

bool status_server_stop(int64_t timeout)
{
    if (own.connections == NULL)
        return true;
    connections_stop(own.connections);
    return crew_wait(&crew, timeout);
}

void status_server_destroy(void)
{
    connections_destroy(own.connections);
    own.connections = NULL;
}
