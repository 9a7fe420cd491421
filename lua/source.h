/* The files that scripts are made of: main scripts, modules, StartupScript; the
 * directories that they run in; and files that they did not find.
 *
 * Every file that goes into a Lua state is read through here, and its fingerprint is
 * kept (lua/fingerprint.h). Of a directory only device and inode count: a release that
 * is switched by a link is another directory under the same path. The sweeper
 * compares; a changed file gets a new version number, and one atomic load tells
 * whether a reference is to an older version. One lock guards the table of sources; no
 * file is read or looked at while it is held. */
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

/* Opens `path`, without blocking on a FIFO, and appends its content to `text`. Only
 * regular files are read: the error is EISDIR for a directory and EACCES for anything
 * else. With a non-empty `root`, an absolute path, the file must lie in that directory
 * (lua/confine.h).
 *
 * Somebody may be about to replace the file. One that was written within the last 10
 * ms, or is empty and younger than a second, is read again after a pause, for a second
 * at most. One that was there before and is missing gets 16 ms to come back.
 *
 * Returns 0, and `ref` holds one reference for source_release. Otherwise an errno
 * value (ENOENT, EACCES, EISDIR, EFBIG over 16 MiB, ENOMEM, ...); then `text` is as it
 * was. */
int source_read(const char *path, const char *root, struct source_ref *ref,
                struct buffer *text);

/* Notes which directory is at `path`; the reference is current until the path leads to
 * another one. `at` is where to look: `path`, or "." for a thread that has just entered
 * it. The result and `ref` are as above. */
int source_note_directory(const char *path, const char *at, struct source_ref *ref);

/* Notes that nothing is at `path`; the reference is current until something is. Returns 0
 * or ENOMEM. */
int source_note_absent(const char *path, struct source_ref *ref);

struct source_ref source_retain(const struct source_ref *ref);
void source_release(struct source_ref *ref);

const char *source_path(const struct source_ref *ref);

/* Whether the file is still what `ref` was read from, as far as the last sweep knows. */
bool source_is_current(const struct source_ref *ref);

/* A number that changes whenever a source has changed. While it is the same, every
 * reference that was current still is. */
unsigned source_epoch(void);

/* Milliseconds that a look at one file may take before the watch (base/watch.h) says that
 * it is late. */
#define SOURCE_LOOK_TIME 2000

/* Looks at every source, and returns how many have changed or vanished. Called by
 * sweepers. One leaves out the devices at which another sweeper is looking just now, as
 * they may not answer; and it stops after a look that was late. With `use_checksum` a
 * file with the same content has not changed. A file that changed so recently that its
 * times could hide a second change is compared by content, until its times are old
 * enough. */
unsigned source_sweep(bool use_checksum);

/* Returns how many sources are known. */
size_t source_count(void);

#endif
