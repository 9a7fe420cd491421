/* Going to the background: the Daemonize option.
 *
 * The process that the user has started ends only when the one in the background says
 * so, with the exit status that tells whether it did start. */
#ifndef LUAFCGID2_DAEMON_BACKGROUND_H
#define LUAFCGID2_DAEMON_BACKGROUND_H

#include <stdbool.h>

/* Forks; returns in the child, which leads a session of its own and still has the user's
 * standard output and error. Before there are other threads. If the child ends before
 * background_detach, the user's process ends with status 1. false: errno. */
bool background_enter(void);

/* Lets go of the terminal and of who waits for the start. Does nothing where
 * background_enter was not called. */
void background_detach(void);

#endif
