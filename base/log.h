/* The daemon's log: one line per event, from any thread.
 *
 *     2026-01-31T12:00:00.123Z error worker 3 /srv/www/hello.lua: message, client:
 *     192.0.2.7, request: "GET /hello.lua?a=b", id: 6f1d...
 *
 * The request is in errors and warnings only. A line that continues the one before it,
 * as those of a traceback do, has "..." in place of the level. As JSON every line is one
 * object, and a traceback is a field of it. luafcgid2(8), "LOG", describes both.
 *
 * A line is at most 8 KiB. One thread writes at a time (base/logfile.h), to a file opened
 * for appending, so lines never mix, nor with those of another process. Control
 * characters and bytes that are not UTF-8 are escaped (\n, \x1b): text that a client
 * chose can neither end a line nor drive a terminal. A line that is cut ends in
 * "...[cut]". */
#ifndef LUAFCGID2_BASE_LOG_H
#define LUAFCGID2_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_TEXT, LOG_FORMAT_JSON };

/* Opens the log, or goes on in another file, which other threads may write meanwhile. An
 * empty path means standard error; so does one that cannot be opened, and the log says so
 * there. Under systemd, lines on standard error bear their priority. "syslog:daemon" and
 * the like mean the system's log. A relative path counts from the directory of this call.
 * false: a file was asked for and cannot be opened. Main thread only. */
bool log_open(const char *path, enum log_level level);

/* Whether `path` means the system's log, and in `known` whether its facility is one of
 * syslog(3)'s for programs such as this one. */
bool log_is_syslog(const char *path, bool *known);

/* How lines look from now on. Main thread only. */
void log_set_format(enum log_format format);

/* Opens the same path again, after a rotation (SIGUSR1). false: it cannot be opened, as
 * the log says, and lines go where they went before; or, if that file has been removed,
 * to standard error. Main thread only. */
bool log_reopen(void);

/* Whether the log's file has been removed. Any thread. */
bool log_is_removed(void);

/* Starts the thread that writes the lines which a full pipe or a stalled reader does not
 * take; from then on no other thread waits for these. Main thread only, once, after a
 * fork. false: errno. */
bool log_start(void);

/* Waits until all lines are written, for at most `timeout` milliseconds. For the end of
 * the process. Any thread. */
void log_flush(int64_t timeout);

/* Lines that were lost, ever, as to a full disk. The log tells of them when it can be
 * written again. Any thread. */
uint64_t log_lost(void);

/* Gives the log file to the user that the daemon is about to become. */
void log_chown(unsigned uid, unsigned gid);

/* From now on the log's thread writes the lines of this thread, which no disk may hold
 * up: others wait for it. */
void log_hurry(void);

/* What the lines of this thread name from now on. `worker` 0 means none. `script` is
 * borrowed until the next call; NULL or "" means none. */
void log_set_worker(int worker);
void log_set_script(const char *script);

/* The request that this thread works on. */
struct log_request {
    const char *client, *method, *uri; /* "" where it is not known */
    const char *(*id)(void *of);       /* async-signal-safe, as base/watch.h needs it */
    void *of;
};

/* The request that this thread's lines are about from now on; borrowed until the next
 * call. NULL: none. */
void log_set_request(const struct log_request *request);

/* A copy for a thread that tells of another one's request. Texts that are too long are
 * cut. */
struct log_request_copy {
    char client[48], method[16], uri[256], id[64];
};

/* Copies this thread's request. false: there is none. Async-signal-safe. */
bool log_copy_request(struct log_request_copy *copy);

/* The request that was copied, for log_set_request; lasts as long as the copy. */
struct log_request log_request_of(struct log_request_copy *copy);

bool log_enabled(enum log_level level);

/* Writes one line. Never fails, never waits for a reader; keeps errno. */
void log_write(enum log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The same for `len` bytes of any kind, NUL too. */
void log_text(enum log_level level, const char *text, size_t len);

/* Writes each line of a text as a line of the log. NULL is an empty text. */
void log_lines(enum log_level level, const char *text);

/* The same for a message and what belongs to it, such as a traceback: the lines behind
 * the first one continue it, and are cut when there are hundreds of them. As JSON the
 * message has all of its own lines. */
void log_trace(enum log_level level, const char *text);

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

#endif
