/* The file that holds the daemon's process id (PidFile), locked while the daemon lives.
 *
 * The lock, not the number in the file, says whether a daemon runs: a file that a crash
 * or a power cut has left is not locked, and is taken over. Main thread only; one file
 * per process. The order is pidfile_open, daemon(3), pidfile_write, ..., pidfile_remove:
 * the lock is one of flock(2), which a forked child keeps and an executed program does
 * not get. */
#ifndef LUAFCGID2_DAEMON_PIDFILE_H
#define LUAFCGID2_DAEMON_PIDFILE_H

#include <stdbool.h>
#include <stddef.h>

/* Creates or takes over the file and locks it; "" does nothing. Call it as the user that
 * has started the daemon. false: `error` has one line for the user; if another daemon has
 * the lock, the line names its process id. Does not block. */
bool pidfile_open(const char *path, char *error, size_t size);

/* Gives the file to the user that the daemon is about to become. */
void pidfile_chown(unsigned uid, unsigned gid);

/* Writes this process's id and a newline in place of what is there. false: errno. True
 * when no file is open. */
bool pidfile_write(void);

/* Removes the file, if its path still leads to the one that was locked, and unlocks it.
 * Where the directory forbids that, because privileges were given up, the file is emptied
 * instead. */
void pidfile_remove(void);

#endif
