/* Temporary files that may become lasting ones. Any thread; blocks as the disk does.
 * Errors are in errno. */
#ifndef LUAFCGID2_BASE_TEMPFILE_H
#define LUAFCGID2_BASE_TEMPFILE_H

#include <stdbool.h>
#include <stddef.h>

/* Room for the name of a file in `directory`. */
#define TEMPFILE_NAME_SIZE 32
#define TEMPFILE_PREFIX    "luafcgid2-"

/* Writes a name that no file has, without a directory, to `name`. */
bool tempfile_name(char name[TEMPFILE_NAME_SIZE]);

/* Creates the file `path`, which must not exist, for reading and writing by this user
 * alone. Returns its descriptor, or -1. */
int tempfile_create(const char *path);

/* Writes all of it. */
bool tempfile_write(int fd, const void *data, size_t len);

/* Moves the file `from` to `to`, in the place of a file that is there, with the
 * permissions of a file that is created there. From one file system to another it is
 * copied, and is on the disk before it takes the place of the other. `from` is then gone.
 * While it is copied, go_on(arg) is asked now and then; on false it ends with ECANCELED.
 * On failure both are as they were. */
bool tempfile_move(const char *from, const char *to, bool (*go_on)(void *arg), void *arg);

#endif
