/* SessionFile: the sessions of a store as a file, whole or not at all.
 *
 *     "luafcgid2 session", NUL, version (4 bytes)
 *     wall clock of writing (8), secret of the clients' hashes (16)
 *     'S', key's SHA-256 (32), age (8), idle (8), hashes of the client (3 x 8),
 *          realms (4): name length (4), name, variables (4):
 *              name length (4), value length (4), name, value
 *     'E', sessions (4)
 *     SHA-256 of all before (32)
 *
 * Numbers are little-endian, times are milliseconds. Ages, not times, are written, so
 * that neither the start of the machine nor a wrong wall clock matters to them. */
#ifndef LUAFCGID2_STORE_FILE_H
#define LUAFCGID2_STORE_FILE_H

#include "base/buffer.h"
#include "base/sha256.h"
#include "base/siphash.h"
#include "store/realm.h"
#include <stdbool.h>
#include <stdint.h>

struct session_head {
    int64_t wall; /* when it was written */
    unsigned char secret[SIPHASH_SECRET_SIZE];
};

struct session_record {
    unsigned char id[SHA256_SIZE];
    int64_t age, idle; /* since it was made, and last used */
    uint64_t client[3];
    struct realms data;
};

/* -- Writing. One thread; failures are false with errno -- */

struct session_writer {
    const char *path; /* borrowed */
    char *temporary;  /* beside it, until it is renamed */
    int fd;
    uint32_t count;
    struct sha256 sum;
};

/* Starts FILE.new, mode 0600. EEXIST: something else than a regular file is at `path`,
 * and is left alone. */
bool file_begin(struct session_writer *w, const char *path,
                const struct session_head *head);
/* Writes `count` records. */
bool file_append(struct session_writer *w, const struct buffer *records, uint32_t count);
/* Renames it to `path` once all of it is on the disk. */
bool file_commit(struct session_writer *w);
/* After any failure of the above: removes what was written. Keeps errno. */
void file_abort(struct session_writer *w);

/* Bytes that file_record_put needs at most; O(1). */
size_t file_record_room(const struct session_record *r);

/* Appends to `out`, which must have that much room: allocates nothing, cannot fail. */
void file_record_put(const struct session_record *r, struct buffer *out);

/* -- Reading -- */

/* Calls each(record, arg) for every session; what it does not move out of record->data is
 * freed. If it returns false (out of memory), reading ends. true: the whole file was read
 * and is undamaged; only then may what came from it be used. `head` is filled before the
 * first call. Everything wrong is logged, except that there is no file. A damaged file is
 * renamed FILE.damaged; one that other users could have written is left and not read. */
bool file_read(const char *path, struct session_head *head,
               bool (*each)(struct session_record *record, void *arg), void *arg);

#endif
