/* Growable bytes. Growth doubles, so that appending n bytes in small pieces costs O(n).
 */
#include "buffer.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef BUFFER_FIRST_BYTES
#define BUFFER_FIRST_BYTES 32
#endif

bool buffer_reserve(struct buffer *b, size_t extra)
{
    if (extra <= b->cap - b->len)
        return true;
    if (extra > SIZE_MAX / 2 - b->len)
        return false;
    size_t cap = b->cap < BUFFER_FIRST_BYTES ? BUFFER_FIRST_BYTES : b->cap;
    while (cap < b->len + extra)
        cap *= 2;
    char *data = realloc(b->data, cap);
    if (data == NULL)
        return false;
    b->data = data;
    b->cap = cap;
    return true;
}

bool buffer_append(struct buffer *b, const void *data, size_t len)
{
    if (len == 0)
        return true;
    if (!buffer_reserve(b, len))
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
    free(b->data);
    *b = (struct buffer){0};
}
