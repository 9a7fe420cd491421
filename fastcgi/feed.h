/* How a request's head gets from memory to libfcgi, which reads only descriptors.
 *
 * A worker's memory for looking at heads is the mapping of a file in memory
 * (memfd_create(2)): what recv(2) puts there, libfcgi reads from the file without another
 * copy, without a byte that belongs to the next request, and for any length.
 * Where there is no such file the bytes go through a socket pair.
 *
 * A feed belongs to one worker; nothing here is shared. */
#ifndef LUAFCGID2_FASTCGI_FEED_H
#define LUAFCGID2_FASTCGI_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FEED_PAGE = 4096 };

struct feed {
    int read_end;  /* libfcgi's; -1: none */
    int write_end; /* of a socket pair, or -1 */
    bool mapped;   /* it is a file, mapped at `data` */
    uint8_t *data;
    size_t size, max;
};

/* `size` bytes of memory at feed->data, of which a head takes at most `max`. false with
 * errno; EMSGSIZE: no socket pair here takes `max` bytes. */
bool feed_open(struct feed *feed, size_t size, size_t max);
void feed_close(struct feed *feed);

/* After libfcgi has closed feed->read_end: opens another, with the first `used` bytes of
 * data in its memory, which may move. false: the memory stays as it is, without a
 * descriptor; it may be tried again. */
bool feed_replace(struct feed *feed, size_t used);

/* Makes the next reads of feed->read_end return data[offset, offset + len) (and, if it is
 * a file, what comes after it). Never blocks. false with errno. */
bool feed_offer(struct feed *feed, size_t offset, size_t len);

#endif
