/* The slow log: where scripts were that ran for longer than SlowLogTime. */
#ifndef LUAFCGID2_DAEMON_SLOWLOG_H
#define LUAFCGID2_DAEMON_SLOWLOG_H

#include "config.h"

#include <stdbool.h>
#include <stdint.h>

/* Opens the file that the configuration names, or another one after a reload. Without
 * one, or while it cannot be opened, which is told of, the entries are the log's. Main
 * thread only, as the next three are. */
void slowlog_open(const struct config *config);
void slowlog_reopen(void); /* after a rotation */
void slowlog_chown(unsigned uid, unsigned gid);

/* Starts the thread that writes the file, once, after a fork. */
void slowlog_start(void);

/* Waits until all is written, for at most `timeout` milliseconds. */
void slowlog_flush(int64_t timeout);

/* The heartbeat, at each beat: writes what slow scripts have noted. Does not block. */
void slowlog_tick(void);

/* Entries since the start. Any thread. */
unsigned slowlog_count(void);

/* Whether its file has been removed. Any thread. */
bool slowlog_is_removed(void);

/* Entries that were lost, ever, and why, as of logfile_lost. Any thread. */
uint64_t slowlog_lost(int *error);

#endif
