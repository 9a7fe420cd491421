/* What a path leads to, so that it can be told later whether it still does.
 *
 * Of a file that is its identity (device, inode, size, times to the nanosecond) and a
 * digest of its content. Any thread; nothing is shared. All functions may block on the
 * file system. */
#ifndef LUAFCGID2_LUA_FINGERPRINT_H
#define LUAFCGID2_LUA_FINGERPRINT_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum fingerprint_kind { FINGERPRINT_FILE, FINGERPRINT_DIRECTORY, FINGERPRINT_ABSENT };

struct fingerprint_identity {
    dev_t dev;
    ino_t ino;
    int64_t size;
    int64_t mtime, ctime; /* ns since 1970 */
};

struct fingerprint {
    enum fingerprint_kind kind;
    struct fingerprint_identity identity; /* of a file; of a directory its device only */
    uint64_t digest; /* of the content; of a directory's device and inode */
    bool racy;       /* the times are so recent that they could hide another change */
    bool unsettled;  /* it was being written, or had been a moment before */
};

/* How a file that is being replaced is waited for. */
struct fingerprint_patience {
    int pauses; /* of 4 ms each, that are left; counts down */

    /* Whether there was a file at `path` before: one that is missing is then waited for,
     * too, as it may be about to come back. */
    bool (*is_known)(const char *path);
};

/* Opens `path` once, without blocking on a FIFO, and appends its content to `text`, as
 * source_read (lua/source.h) says. Waits while the file is being written, as long as
 * there is patience. 0, or an errno value; then `text` is as it was. */
int fingerprint_read(const char *path, const char *root,
                     struct fingerprint_patience *patience, struct fingerprint *print,
                     struct buffer *text);

/* Of the directory at `path`. 0, or an errno value: ENOTDIR, ENOENT, ... */
int fingerprint_directory(const char *path, struct fingerprint *print);

/* Whether two have the same kind and content, or the same times as well. */
bool fingerprint_same_content(const struct fingerprint *a, const struct fingerprint *b);
bool fingerprint_same_identity(const struct fingerprint *a, const struct fingerprint *b);

enum fingerprint_verdict {
    FINGERPRINT_UNCHANGED,
    FINGERPRINT_CHANGED,
    FINGERPRINT_RENEWED, /* unchanged; `now` is what is known from now on */
};

/* Looks whether `path` still leads to what is known of it. With `use_checksum` a file
 * with the same content has not changed, whatever its times say. A file changed so
 * recently that its times could hide a second change is compared by content. */
enum fingerprint_verdict fingerprint_compare(const char *path,
                                             const struct fingerprint *known,
                                             bool use_checksum,
                                             struct fingerprint_patience *patience,
                                             struct fingerprint *now);

#endif
