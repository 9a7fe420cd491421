/* Children of scripts: what os.execute and io.popen start.
 *
 * A child begins like any program started from a shell: default signal actions, no signal
 * blocked, standard input from /dev/null unless piped, standard error to the log's
 * standard error, and not one descriptor of the daemon besides. */
#ifndef LUAFCGID2_BASE_PROCESS_H
#define LUAFCGID2_BASE_PROCESS_H

#include <stdbool.h>
#include <sys/types.h>

/* Starts `/bin/sh -c command`, the leader of a process group of its own. `in` and `out`
 * become its descriptors 0 and 1; -1: the daemon's. -1 with errno. Callable from any
 * thread. */
pid_t process_start(const char *command, int in, int out);

/* Whether the child was started here, and nobody has waited for it yet. Any thread. */
bool process_is_own(pid_t pid);

/* Waits for the child. false with errno, EINTR included. */
bool process_wait(pid_t pid, int *status);

/* Kills the child with all that it started, and returns at once: one that takes its time
 * to die, perhaps because its disk hangs, is left to process_reap. Any thread. */
void process_abandon(pid_t pid);

/* Leaves a child to itself and to process_reap, until process_kill_left(owner), whose
 * caller never forgets that. false: it is still the caller's, for there is no memory, or
 * `owner` has left as many as PROCESS_LEFT_MAX that live. Any thread. */
#define PROCESS_LEFT_MAX 32
bool process_leave(pid_t pid, const void *owner);
void process_kill_left(const void *owner);

/* Heartbeat: takes note of children of the above two kinds that have died. Never blocks.
 */
void process_reap(void);

#endif
