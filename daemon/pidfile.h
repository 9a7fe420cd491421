/* The file that holds the daemon's process id (PidFile), locked while the daemon lives.
 *
 * The lock, not the number in the file, says whether a daemon runs: a file left by a
 * crash or a power cut is unlocked and simply taken over. Main thread only; one file per
 * process. The order is pidfile_open, daemon(3), pidfile_write, ..., pidfile_remove: the
 * lock is flock(2)'s, which a forked child keeps and an executed one does not get. */
#ifndef LUAFCGID2_DAEMON_PIDFILE_H
#define LUAFCGID2_DAEMON_PIDFILE_H

#include <stdbool.h>
#include <stddef.h>

/* Creates or takes over the file and locks it; "" does nothing. Call as the user the
 * daemon was started as. false: `error` has one line for the user, which names the other
 * daemon's process id when that is what stands in the way. Does not block. */
bool pidfile_open(const char *path, char *error, size_t size);

/* Gives the file to the user the daemon is about to become. */
void pidfile_chown(unsigned uid, unsigned gid);

/* Writes this process's id and a newline in place of what is there. false: errno. True
 * when no file is open. */
bool pidfile_write(void);

/* Removes the file, if its path still leads to the one that was locked, and unlocks it.
 * Where the directory forbids that (after giving up privileges) it is emptied instead. */
void pidfile_remove(void);

#endif
