/* The access log: a line for each request that was answered.
 *
 * A worker makes the line and adds it to its share of a batch; a thread of the log's own
 * writes what has gathered (base/batch.h). So no worker ever waits for the file. What a
 * full disk or a stopped reader costs is lines, which are counted and told of. */
#ifndef LUAFCGID2_DAEMON_ACCESS_H
#define LUAFCGID2_DAEMON_ACCESS_H

#include "base/buffer.h"
#include "config.h"
#include "request.h"

/* Opens the file that the configuration names, or another one after a reload; none when
 * it names none. What cannot be opened is told of. Main thread only. */
void access_open(const struct config *config);

/* Opens it again, after a rotation. Main thread only. */
void access_reopen(void);

/* Gives the file to the user that the daemon is about to become. */
void access_chown(unsigned uid, unsigned gid);

/* Starts the thread, once, after a fork. */
void access_start(void);

/* Waits until all lines are written, for at most `timeout` milliseconds. */
void access_flush(int64_t timeout);

/* A request that was answered. */
struct access_entry {
    struct request *request;
    const char *script; /* its file, or NULL */
    int64_t began;      /* of clock_nanoseconds, 0: there is no line */
    int64_t ended;      /* the same; when the response was out */
    uint32_t queued;    /* ms that it waited for a worker */
    size_t peak;        /* bytes of memory that its state had at most */
    int worker;
};

/* Whether the configuration asks for an access log: else nothing need be known. */
static inline bool access_is_wanted(const struct config *config)
{
    return config->access_log_path[0] != '\0';
}

/* Writes its line, made in `line`, if there is a log. Does not block. By the thread that
 * owns the request, after the response and before its parameters are released. */
void access_note(const struct config *config, const struct access_entry *entry,
                 struct buffer *line);

/* By a thread that ends, if it has written lines. */
void access_leave(void);

/* Whether its file has been removed. Any thread. */
bool access_is_removed(void);

/* Lines that were lost, ever. `error` becomes the last reason, as of logfile_lost. Any
 * thread. */
uint64_t access_lost(int *error);

#endif
