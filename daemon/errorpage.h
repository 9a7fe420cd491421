/* Pages of errors: the built-in one, with what ShowErrors shows, and those of the site
 * (ErrorPage). By the worker that has the request. */
#ifndef LUAFCGID2_DAEMON_ERRORPAGE_H
#define LUAFCGID2_DAEMON_ERRORPAGE_H

#include "lua/state.h"
#include "request.h"

/* Makes the response a page for `error`: the site's file for its status, if there is one
 * and it can be read, or the built-in page. A 503 gets Retry-After. Blocks as reading a
 * file does. */
void errorpage_make(struct request *r, const struct script_error *error);

/* The script that is to answer errors of that status, borrowed from the configuration.
 * NULL: there is none, or the error is to be shown, or something was sent already. */
const char *errorpage_script(const struct request *r, int status);

/* Makes the response an empty one of that status, for such a script. */
void errorpage_clear(struct request *r, int status);

#endif
