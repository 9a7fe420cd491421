/* The files that scripts are made of: main scripts, modules, StartupScript; the
 * directories that they run in; and files that they looked for in vain.
 *
 * Every file that goes into a Lua state is read through here, and so is known by path,
 * identity (device, inode, size, times to the nanosecond) and content. Of a directory
 * only device and inode count: a release that is switched by a link is another directory
 * under the same path. The sweeper compares; a changed file gets a new version number,
 * and whoever holds a reference to an older version can see that with one atomic load.
 * One lock guards the table of sources; no file is read or looked at while it is held. */
#ifndef LUAFCGID2_LUA_SOURCE_H
#define LUAFCGID2_LUA_SOURCE_H

#include "base/buffer.h"
#include <stdbool.h>
#include <stddef.h>

struct source; /* one file, shared by all that were made from it; counted */

struct source_ref {
    struct source *source;
    unsigned version; /* of the file, as it was read */
};

/* Opens `path` once, without blocking on a FIFO, and appends its content to `text`; what
 * runs is what was opened. Only regular files are read: EISDIR, or EACCES for what is
 * neither file nor directory. A non-empty `root`, an absolute path, confines the file to
 * that directory (EACCES otherwise); the links of both are resolved now. A file written
 * within the last 10 ms, or a known one that is missing, may be just being replaced: it
 * gets up to 16 ms to settle. 0: `ref` holds one reference, for source_release. Otherwise
 * an errno value (ENOENT, EACCES, EISDIR, EFBIG over 16 MiB, ENOMEM, ...); nothing is
 * held, and `text` is as it was. */
int source_read(const char *path, const char *root, struct source_ref *ref,
                struct buffer *text);

/* Notes which directory is found at `path`; the reference is current until the path leads
 * to another. `at` is where to look: `path`, or "." for a thread that has just entered
 * it. Returns and `ref` as above. */
int source_note_directory(const char *path, const char *at, struct source_ref *ref);

/* Notes that nothing was found at `path`; the reference is current until something is.
 * 0 or ENOMEM. */
int source_note_absent(const char *path, struct source_ref *ref);

struct source_ref source_retain(const struct source_ref *ref);
void source_release(struct source_ref *ref);

const char *source_path(const struct source_ref *ref);

/* Whether the file still is what `ref` was read from, as far as the last sweep knows. */
bool source_is_current(const struct source_ref *ref);

/* A number that changes whenever some source changed: while it stands still, whatever
 * was current still is. */
unsigned source_epoch(void);

/* A look at one file that takes longer, in milliseconds, is late: the sweeper's watch
 * (base/watch.h) says so. */
#define SOURCE_LOOK_TIME 2000

/* Sweeper: looks at every source; returns how many changed or vanished. Leaves out the
 * devices at which another sweeper is looking just now: they may not answer. One that has
 * been late does no more after that. With
 * `use_checksum` a file whose content is as before has not changed. A file changed so
 * recently that its times could hide a second change is compared by content each time,
 * until its times are old enough to be trusted. */
unsigned source_sweep(bool use_checksum);

/* How many sources are known, for tests. */
size_t source_count(void);

#endif
