/* A growable run of bytes, owned by whoever declared it. A zeroed struct is an empty
 * buffer that takes its memory from the C library. One thread at a
 * time; nothing blocks. */
#ifndef LUAFCGID2_BASE_BUFFER_H
#define LUAFCGID2_BASE_BUFFER_H

#include <stdbool.h>
#include <stddef.h>

/* Another source of memory, which counts what it gives. `resize` works as realloc does,
 * but is told the old size; size 0 frees. NULL: there is no more memory. */
struct buffer_memory {
    void *(*resize)(void *data, void *block, size_t old_size, size_t size);
    void *data;
};

struct buffer {
    char *data; /* NULL until the first reserve; not terminated by a NUL */
    size_t len; /* bytes in use */
    size_t cap; /* bytes allocated */
    const struct buffer_memory *memory; /* borrowed; NULL: the C library's. To be set
                                           while the buffer is empty */
};

/* Makes room for `extra` more bytes. false: out of memory, buffer as it was. */
bool buffer_reserve(struct buffer *b, size_t extra);

/* Appends `len` bytes. false: out of memory, buffer as it was. */
bool buffer_append(struct buffer *b, const void *data, size_t len);

/* Appends a string, without its NUL. */
bool buffer_puts(struct buffer *b, const char *s);

/* Appends formatted text, without a NUL. */
bool buffer_printf(struct buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Empties it and keeps the memory, unless that is more than `keep` bytes. */
void buffer_clear(struct buffer *b, size_t keep);

/* Gives the memory back; what remains is an empty buffer with the same `memory`. */
void buffer_free(struct buffer *b);

#endif
