/* A run of bytes that somebody else owns. */
#ifndef LUAFCGID2_BASE_BYTES_H
#define LUAFCGID2_BASE_BYTES_H

#include <stddef.h>

struct bytes {
    const char *data; /* may hold NULs; not terminated */
    size_t len;
};

#endif
