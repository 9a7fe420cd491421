/* Going to the background: the Daemonize option.
 *
 * The process that the user has started ends only after the one in the background has
 * started or failed, with the exit status that tells which. */
#ifndef LUAFCGID2_DAEMON_BACKGROUND_H
#define LUAFCGID2_DAEMON_BACKGROUND_H

#include <stdbool.h>

/* Forks, and returns in the child, which leads a session of its own and still has the
 * user's standard output and error. Call it before there are other threads. If the child
 * ends before background_detach, the user's process ends with status 1. false: errno. */
bool background_enter(void);

/* Lets go of the terminal, and lets the user's process end well. Does nothing if
 * background_enter was not called. */
void background_detach(void);

#endif
