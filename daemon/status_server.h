/* StatusListen: a listener of its own, for the status alone, with a thread of its own,
 * which answers when all workers are busy or stuck. */
#ifndef LUAFCGID2_DAEMON_STATUS_SERVER_H
#define LUAFCGID2_DAEMON_STATUS_SERVER_H

#include "config.h"
#include "daemon/service.h"

#include <stdbool.h>
#include <stdint.h>

/* Starts it with `listener`, which it takes over; -1: there is none, and nothing to
 * start. false: not possible, as the log says. Main thread. */
bool status_server_start(const struct service *service, int listener,
                         const struct config *config);

/* Heartbeat, about once a second: as connections_tick. */
void status_server_tick(const struct config *config);

/* Ends its thread, while the heartbeat still ends connections that are late. Waits for at
 * most `timeout` milliseconds. false: the thread still runs. Main thread. */
bool status_server_stop(int64_t timeout);

/* Closes what is left, once neither that thread nor the heartbeat runs. Main thread. */
void status_server_destroy(void);

#endif
