/* The status: what the daemon itself answers, without any script. StatusPath and PingPath
 * are of luafcgid2-config(5); what is told is in daemon/figures.h. */
#ifndef LUAFCGID2_DAEMON_STATUS_H
#define LUAFCGID2_DAEMON_STATUS_H

#include "config.h"
#include "request.h"

#include <stdbool.h>

enum status_page { STATUS_NOTHING, STATUS_FIGURES, STATUS_PING };

/* Which of them the request is for, by its SCRIPT_NAME, or without one the path of its
 * REQUEST_URI. */
enum status_page status_asked_for(const struct request *r);

/* Makes the response: of the status by the request's query, which is made of json,
 * openmetrics or html, and full, separated by '&'. Waits for nobody. */
void status_answer(struct request *r, enum status_page page);

/* A request has failed by the fault of its script or of the daemon: the status tells the
 * last ones. */
void status_note_error(const struct request *r, int status, const char *message);

#endif
