/* Lines of many threads, which one thread writes, many at a time.
 *
 * A thread adds its lines to a share of its own, so that threads do not get in each
 * other's way; the batch's thread takes each share as a whole, a tenth of a second after
 * its first line or when one is a quarter full. So the lines of one thread stay in their
 * order, and those of different threads may change places within that time. A line for
 * which its share has no room is lost and counted. */
#ifndef LUAFCGID2_BASE_BATCH_H
#define LUAFCGID2_BASE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BATCH_TIME = 100 /* ms for which lines gather */ };

struct batch;
struct batch_share;

/* What the batch's thread calls; both may block. */
struct batch_writer {
    /* Once before some shares are written. */
    void (*begin)(void *of);

    /* Writes whole lines. Returns how many are lost; then `error` is why, an errno. */
    size_t (*write)(void *of, const char *lines, size_t len, int *error);
};

/* Lasts until the process ends. `writer` and `of` are borrowed for as long. NULL: out of
 * memory. */
struct batch *batch_create(const struct batch_writer *writer, void *of);

/* Starts the thread, once, after a fork. Before that lines gather. false: errno. */
bool batch_start(struct batch *b);

/* -- Lines. Any thread -- */

/* A share for the calling thread alone, until batch_leave; its lines are written all the
 * same. NULL: out of memory. */
struct batch_share *batch_join(struct batch *b);
void batch_leave(struct batch_share *s); /* NULL is allowed */

/* Adds a line of at most 8 KiB, its newline included; `s` NULL: to a share of all threads
 * that have none. Waits for no device. */
void batch_add(struct batch *b, struct batch_share *s, const char *line, size_t len);

/* Lines that were lost, ever. `error` becomes the last reason, an errno; EAGAIN: they
 * came faster than they were written. */
uint64_t batch_lost(struct batch *b, int *error);

/* Has all lines written without delay, and waits for that, for at most `timeout`
 * milliseconds. false: they are not. */
bool batch_flush(struct batch *b, int64_t timeout);

/* Whether somebody waits so. */
bool batch_is_flushing(struct batch *b);

#endif
