/* One request without a web server: luafcgid2 -r.
 *
 * The request is served as any other, by the same exchange (daemon/exchange.h); only its
 * peer is another one: parameters from the command line, the body from standard input,
 * the response to standard output, the log to standard error. */
#ifndef LUAFCGID2_DAEMON_OFFLINE_H
#define LUAFCGID2_DAEMON_OFFLINE_H

#include "config.h"

#include <stdbool.h>

struct offline {
    const char *script;       /* the path of the file */
    const char *const *pairs; /* "NAME=value", CGI parameters; NULL at the end */
    bool headers;             /* the response's headers are printed, too */
};

/* Runs it and returns the exit status: 0 when the response's status is below 400, 4 or 5
 * when it is one of 400 or 500, 5 when the response is not whole; 1 with a message when
 * nothing could be run. Takes over the process: descriptors 0 and 1 are others then. Main
 * thread, once, instead of a start. Blocks as long as the script takes. */
int offline_run(struct config *config, const struct offline *what);

#endif
