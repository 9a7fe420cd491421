/* What all workers share, and what the heartbeat looks at. The thread of StatusListen has
 * a service of its own. */
#ifndef LUAFCGID2_DAEMON_SERVICE_H
#define LUAFCGID2_DAEMON_SERVICE_H

#include "fastcgi/connection.h"
#include "pool.h"
#include "store/session.h"

/* Made by the main thread; immutable, and there as long as any thread that uses it. */
struct service {
    struct connections *connections;
    struct pool *pool;
    struct session_store *sessions;
    bool is_status; /* every request gets the status */
};

#endif
