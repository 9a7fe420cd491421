/* What the two C programs of the benchmark answer, apart from how they speak FastCGI. */
#ifndef BENCH_ANSWER_H
#define BENCH_ANSWER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum answer { ANSWER_HELLO, ANSWER_ENV, ANSWER_COMPUTE, ANSWER_BODY, ANSWER_POST };

#define BODY_SIZE    (1024 * 1024)
#define COMPUTE_SIZE 3000
#define ENCODED_SIZE (COMPUTE_SIZE / 3 * 4)
#define CONTENT_TYPE "Content-Type: text/html\r\n"

static inline enum answer answer_by_name(const char *name)
{
    static const char *const names[] = {"hello", "env", "compute", "body", "post"};
    for (int i = 0; i < (int)(sizeof names / sizeof *names); i++)
        if (strcmp(name, names[i]) == 0)
            return (enum answer)i;
    fprintf(stderr, "no such answer: %s\n", name);
    exit(1);
}

/* The text that the compute scripts encode. */
static inline void compute_input(char text[COMPUTE_SIZE])
{
    for (int i = 0; i < COMPUTE_SIZE; i++)
        text[i] = (char)('0' + i % 10);
}

/* Base64 of a text whose length is a multiple of three. */
static inline void base64(const char *text, size_t len, char *out)
{
    static const char digit[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = (const unsigned char *)text;
    for (size_t i = 0; i < len; i += 3) {
        unsigned v = (unsigned)s[i] << 16 | (unsigned)s[i + 1] << 8 | s[i + 2];
        *out++ = digit[v >> 18];
        *out++ = digit[v >> 12 & 63];
        *out++ = digit[v >> 6 & 63];
        *out++ = digit[v & 63];
    }
}

#endif
