/* FastCGI records as a web server, or somebody worse, sends them: for the tests in C, as
 * tests/fastcgi.py is for those in Python. Written from the specification, not by the
 * daemon's own functions, which these records are to test. Without memory it aborts. */
#ifndef TESTS_RECORDS_H
#define TESTS_RECORDS_H

#include "fastcgi/record.h"

#include <stdlib.h>
#include <string.h>

/* Bytes that grow. Zeroed memory is an empty message; drop frees it. */
struct message {
    uint8_t *data;
    size_t len, cap;
};

static inline void put(struct message *m, const void *data, size_t len)
{
    if (len > m->cap - m->len) {
        m->cap = 2 * (m->len + len);
        m->data = realloc(m->data, m->cap);
        if (m->data == NULL)
            abort();
    }
    if (len > 0)
        memcpy(m->data + m->len, data, len);
    m->len += len;
}

static inline void drop(struct message *m)
{
    free(m->data);
    *m = (struct message){0};
}

/* The padding looks like the beginning of another record. */
static inline void put_record(struct message *m, unsigned type, unsigned id,
                              const void *content, size_t len, unsigned padding)
{
    static const uint8_t junk[255] = {1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 1};
    uint8_t header[8] = {1,
                         (uint8_t)type,
                         (uint8_t)(id >> 8),
                         (uint8_t)id,
                         (uint8_t)(len >> 8),
                         (uint8_t)len,
                         (uint8_t)padding,
                         0};
    put(m, header, sizeof header);
    put(m, content, len);
    put(m, junk, padding);
}

/* `flags`: 1 keeps the connection. */
static inline void put_begin(struct message *m, unsigned id, unsigned role,
                             unsigned flags, unsigned padding)
{
    uint8_t body[8] = {(uint8_t)(role >> 8), (uint8_t)role, (uint8_t)flags};
    put_record(m, RECORD_BEGIN_REQUEST, id, body, sizeof body, padding);
}

static inline void put_length(struct message *m, size_t n, bool wide)
{
    uint8_t four[4] = {(uint8_t)(n >> 24 | 0x80), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                       (uint8_t)n};
    uint8_t one = (uint8_t)n;
    if (wide || n > 127)
        put(m, four, 4);
    else
        put(m, &one, 1);
}

/* A name-value pair, with lengths of four bytes where they need them, or if `wide`. */
static inline void put_pair(struct message *m, const char *name, const char *value,
                            bool wide)
{
    put_length(m, strlen(name), wide);
    put_length(m, strlen(value), wide);
    put(m, name, strlen(name));
    put(m, value, strlen(value));
}

/* The same from "NAME=value". */
static inline void put_parameter(struct message *m, const char *text)
{
    size_t name = strcspn(text, "="), value = strlen(text + name + 1);
    put_length(m, name, false);
    put_length(m, value, false);
    put(m, text, name);
    put(m, text + name + 1, value);
}

/* A stream of `type` in records of `chunk` bytes, and the empty one that ends it. */
static inline void put_stream(struct message *m, unsigned type, unsigned id,
                              const void *data, size_t len, size_t chunk)
{
    for (size_t at = 0; at < len; at += chunk) {
        size_t n = len - at < chunk ? len - at : chunk;
        put_record(m, type, id, (const uint8_t *)data + at, n, (unsigned)n % 7);
    }
    put_record(m, type, id, "", 0, 0);
}

#endif
