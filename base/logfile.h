/* One log: its file, the rotation, and the writing of whole lines in their order by many
 * threads, none of which waits for a reader that stalls.
 *
 * The file is opened for appending, so another program may cut it (copytruncate) or
 * rename it at any time; logfile_reopen then goes on in a new file of the same path.
 *
 * A thread writes its line itself, in its turn: when logfile_write returns, the line is
 * in the file. What a pipe, terminal or socket does not take at once goes through a queue
 * of 256 KiB to a thread of the log. So does every line once a write has taken a tenth of
 * a second: a disk that hangs holds up one thread, and the others for that long, once. A
 * line that does not fit the queue, or cannot be written, is lost and counted; the log
 * says so when lines are written again. */
#ifndef LUAFCGID2_BASE_LOGFILE_H
#define LUAFCGID2_BASE_LOGFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOGFILE_LINE_MAX = 8192 };

struct batch;
struct logfile;

/* A log that goes to standard error. `say_lost` writes into `line`, of LOGFILE_LINE_MAX
 * bytes, the line that tells of `count` lost ones, and returns its length. It lasts until
 * the process ends. NULL: out of memory. */
struct logfile *logfile_create(size_t (*say_lost)(char *line, uint64_t count));

/* A log whose lines nobody waits for: they gather, and the log's thread writes what came
 * in a tenth of a second (base/batch.h). Its lines are lost until
 * logfile_open has opened a file, and never go to standard error; nor does it tell of
 * those that are lost. If the file is removed they wait for logfile_reopen, for ten
 * seconds. NULL: out of memory. */
struct logfile *logfile_create_batched(void);

/* -- The file. Main thread only; other threads may write meanwhile -- */

/* Lines go to the file at `path` from now on, which is made with mode 0640 if need be; ""
 * means standard error. The path of a socket of messages (unix(7), SOCK_DGRAM), such as
 * syslogd's, is connected to, and each line is a message. A relative path counts from the
 * process's directory. false with errno: it cannot be opened, and lines go to standard
 * error. */
bool logfile_open(struct logfile *f, const char *path);

/* Opens the same path again, after a rotation. false with errno: it cannot be opened, and
 * lines go where they went before; or, if that file has been removed, to standard error.
 */
bool logfile_reopen(struct logfile *f);

/* Whether lines go to a file of the log's own. */
bool logfile_has_file(const struct logfile *f);

/* Absolute; "" for standard error. Borrowed until the next logfile_open. */
const char *logfile_path(const struct logfile *f);

/* Gives the file, if it is a regular one, to a user and a group. false: errno. */
bool logfile_chown(struct logfile *f, unsigned uid, unsigned gid);

/* Starts the log's own thread, once, after a fork. Before that every line is written at
 * once, however long that takes. false: errno. */
bool logfile_start(struct logfile *f);

/* -- Lines. Any thread -- */

/* Of a log whose lines gather: for a thread that has a share of its own. NULL: any other.
 */
struct batch *logfile_batch(struct logfile *f);

/* Whether the file that lines go to has been removed: nobody will read them. */
bool logfile_is_removed(struct logfile *f);

/* Lines that were lost, ever. `error` becomes the last reason, an errno; EAGAIN: they
 * came faster than they were written. */
uint64_t logfile_lost(struct logfile *f, int *error);

/* One line of at most LOGFILE_LINE_MAX bytes, its newline included. */
void logfile_write(struct logfile *f, const char *line, size_t len);

/* The same for a thread that no disk may hold up: the log's thread writes the line.
 * Before there is one it is written at once. */
void logfile_enqueue(struct logfile *f, const char *line, size_t len);

/* Waits until what is queued is written, for at most `timeout` milliseconds. false: it is
 * not. */
bool logfile_flush(struct logfile *f, int64_t timeout);

#endif
