/* Warnings of limits that cost time, each at most once a minute with counts, and once
 * more when it is over. They say which option to change. */
#ifndef LUAFCGID2_DAEMON_WARNINGS_H
#define LUAFCGID2_DAEMON_WARNINGS_H

#include "config.h"
#include "daemon/service.h"

/* The heartbeat, about once a second. Does not block. */
void warnings_tick(const struct service *service, const struct config *config);

#endif
