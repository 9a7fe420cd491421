/* The writing of one log: whole lines, in their order, by many threads, none of which
 * waits for a reader that stalls.
 *
 * A thread writes its line itself, in its turn, so that who has logged finds the line
 * there. What a pipe, terminal or socket does not take now goes through a queue of 256
 * KiB to a thread of the log's own, and so does everything once a write has taken a tenth
 * of a second: a disk that hangs holds up one thread, and the others for that long, once.
 * A line that does not fit the queue, or cannot be written, is lost, counted, and spoken
 * of when lines are written again. */
#ifndef LUAFCGID2_BASE_LOGFILE_H
#define LUAFCGID2_BASE_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOGFILE_LINE_MAX = 8192 };

struct logfile;

/* `say_lost` writes into `line`, of LOGFILE_LINE_MAX bytes, the line that tells of
 * `count` lost ones, and returns its length. NULL: out of memory. */
struct logfile *logfile_create(size_t (*say_lost)(char *line, uint64_t count));

/* From now on lines go to `fd`, which stays the caller's. Any file may be put under that
 * number later; call this again then. */
void logfile_use(struct logfile *f, int fd);

/* Starts the log's own thread; before that every line is written at once, however long
 * that takes. false: errno. */
bool logfile_start(struct logfile *f);

/* One line of at most LOGFILE_LINE_MAX bytes, its newline included. Any thread. */
void logfile_write(struct logfile *f, const char *line, size_t len);

/* Waits until what is queued is written, for `timeout` milliseconds at most. */
bool logfile_flush(struct logfile *f, int64_t timeout);

#endif
