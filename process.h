/* Children of scripts: what os.execute and io.popen start.
 *
 * A child begins like any program started from a shell: default signal actions, no signal
 * blocked, standard input from /dev/null unless piped, standard error to the log's
 * standard error, and not one descriptor of the daemon besides. */
#ifndef LUAFCGID2_PROCESS_H
#define LUAFCGID2_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Starts `/bin/sh -c command`, the leader of a process group of its own. `in` and `out`
 * become its descriptors 0 and 1; -1: the daemon's. -1 with errno. Callable from any
 * thread. */
pid_t process_start(const char *command, int in, int out);

/* Waits for the child. false with errno, EINTR included. */
bool process_wait(pid_t pid, int *status);

#endif
