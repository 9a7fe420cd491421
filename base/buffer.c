/* Growable bytes. The size doubles, so that appending n bytes in small pieces costs O(n).
 * Where there is no memory for that, it grows in smaller and smaller steps. Owns nothing;
 * no locks. */
#include "base/buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BUFFER_FIRST_BYTES
#define BUFFER_FIRST_BYTES 32
#endif

/* false: there is no memory for so much. */
static bool resize(struct buffer *b, size_t cap)
{
    char *data = b->memory == NULL
                     ? realloc(b->data, cap)
                     : b->memory->resize(b->memory->data, b->data, b->cap, cap);
    if (data == NULL)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

bool buffer_reserve(struct buffer *b, size_t extra)
{
    if (extra <= b->cap - b->len)
        return true;
    if (extra > SIZE_MAX / 2 - b->len)
        return false;
    size_t need = b->len + extra;
    size_t cap = b->cap < BUFFER_FIRST_BYTES ? BUFFER_FIRST_BYTES : b->cap;
    while (cap < need)
        cap *= 2;
    for (size_t spare = cap - need;; spare /= 4) {
        if (resize(b, need + spare))
            return true;
        if (spare == 0)
            return false;
    }
}

bool buffer_append(struct buffer *b, const void *data, size_t len)
{
    if (len == 0)
        return true;
    if (len > b->cap - b->len && !buffer_reserve(b, len)) /* mostly there is room */
        return false;
    memcpy(b->data + b->len, data, len);
    b->len += len;
    return true;
}

bool buffer_puts(struct buffer *b, const char *s)
{
    return buffer_append(b, s, strlen(s));
}

bool buffer_printf(struct buffer *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (len < 0 || !buffer_reserve(b, (size_t)len + 1)) /* vsnprintf writes a NUL */
        return false;
    va_start(args, format);
    vsnprintf(b->data + b->len, (size_t)len + 1, format, args);
    va_end(args);
    b->len += (size_t)len;
    return true;
}

void buffer_clear(struct buffer *b, size_t keep)
{
    if (b->cap > keep)
        buffer_free(b);
    b->len = 0;
}

void buffer_free(struct buffer *b)
{
    if (b->memory == NULL)
        free(b->data);
    else if (b->data != NULL)
        b->memory->resize(b->memory->data, b->data, b->cap, 0);
    *b = (struct buffer){.memory = b->memory};
}
