/* The uploaded files of a request, in temporary files that are removed after it.
 *
 * A spool is part of what is known of a request (lua/call.h); only the thread that works
 * on the request uses it. All block as the disk does. Zeroed memory is an empty one. */
#ifndef LUAFCGID2_LUA_SPOOL_H
#define LUAFCGID2_LUA_SPOOL_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_file {
    struct buffer path; /* ends with a NUL */
    int fd;             /* -1: not open */
    int64_t size;
    bool kept; /* a script has saved it: it stays */
};

struct spool {
    struct buffer files; /* struct spool_file, one after the other */
    size_t count;
};

/* Creates a file in `directory` for this user alone, open for spool_write. Its memory is
 * of `memory`. Returns its number, from 0; or -1 with errno. */
int spool_add(struct spool *s, const struct buffer_memory *memory, const char *directory);

/* NULL: there is none of that number. Until the next spool_add. */
struct spool_file *spool_file(const struct spool *s, size_t number);

/* Appends to it. false with errno. */
bool spool_write(struct spool_file *f, const void *data, size_t len);

/* Opens it for reading from its beginning, unless it is open. false with errno. */
bool spool_open(struct spool_file *f);
void spool_close(struct spool_file *f);

/* Moves it to `path`, where it stays, as tempfile_move does. false with errno. */
bool spool_keep(struct spool_file *f, const char *path, bool (*go_on)(void *arg),
                void *arg);

/* Closes all, and removes those that are not kept. */
void spool_end(struct spool *s);

#endif
