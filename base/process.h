/* Children of scripts: what os.execute and io.popen start.
 *
 * A child begins like any program started from a shell: default signal actions, no signal
 * blocked, standard input from /dev/null unless piped, standard error as the daemon's,
 * and no other descriptor of the daemon. */
#ifndef LUAFCGID2_BASE_PROCESS_H
#define LUAFCGID2_BASE_PROCESS_H

#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* Starts `/bin/sh -c command` as the leader of a process group of its own. `in` and `out`
 * become its descriptors 0 and 1; -1 means the daemon's. -1 with errno: it cannot be
 * started. Any thread. */
pid_t process_start(const char *command, int in, int out);

/* The same with a pipe to its standard input or, if `reading`, from its standard output.
 * The caller closes the stream. -1 with errno: it has left nothing open. Any thread. */
pid_t process_start_piped(const char *command, bool reading, FILE **stream);

/* Whether the child was started here and nothing has waited for it yet. Any thread. */
bool process_is_own(pid_t pid);

/* Waits for the child. false with errno, EINTR included. */
bool process_wait(pid_t pid, int *status);

/* Whether the child, which nothing has waited for yet, still runs. Any thread. */
bool process_is_alive(pid_t pid);

/* Kills the child with all that it started, and returns at once. If it dies slowly,
 * perhaps because its disk hangs, process_reap waits for it. Any thread. */
void process_abandon(pid_t pid);

/* Lets a child go on by itself, until process_kill_left(owner), which the caller must not
 * forget; process_reap waits for it. false: it is still the caller's, because there is no
 * memory or `owner` has let PROCESS_LEFT_MAX living ones go. Any thread. */
#define PROCESS_LEFT_MAX 32
bool process_leave(pid_t pid, const void *owner);
void process_kill_left(const void *owner);

/* Kills every child with what it started; none is started any more (ECANCELED). For a
 * process that is about to end. Waits a moment for a child that is just being started.
 * Any thread. */
void process_kill_all(void);

/* Lets process_kill_left(owner) kill a child that its caller still waits for. Any
 * thread. */
void process_set_owner(pid_t pid, const void *owner);

/* Heartbeat: waits for children of these two kinds that have died. Never blocks. */
void process_reap(void);

#endif
