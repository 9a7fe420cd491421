/* Lines of an access log, in a format of Apache's directives (mod_log_config).
 *
 * A format is compiled once, and immutable from then on: any thread may use it. Nothing
 * here blocks. */
#ifndef LUAFCGID2_HTTP_ACCESSLOG_H
#define LUAFCGID2_HTTP_ACCESSLOG_H

#include "base/buffer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { ACCESSLOG_LINE_MAX = 8192 /* bytes of a line, its newline included */ };

struct accesslog; /* a format, compiled */

/* Directives, or "common", "combined" or "timed". NULL: `wrong` says which directive is
 * none, or that there is no memory. */
struct accesslog *accesslog_compile(const char *format, char *wrong, size_t size);
void accesslog_free(struct accesslog *format); /* NULL is allowed */

/* Parameters that most formats have: who looks them up may know where they are. */
enum accesslog_param {
    ACCESSLOG_METHOD,
    ACCESSLOG_URI,
    ACCESSLOG_SCRIPT_NAME,
    ACCESSLOG_CLIENT,
    ACCESSLOG_USER,
    ACCESSLOG_AGENT,
    ACCESSLOG_OTHERS, /* the first number of the others, which differ in a format; */
    ACCESSLOG_NUMBERS = 64, /* this one is none any more, and only very long ones share */
};

/* The name of a CGI parameter, terminated, and its number, of those above. */
struct accesslog_name {
    const char *text;
    size_t len;
    int number;
};

/* What a line can tell of a request. All is borrowed for the call. */
struct accesslog_entry {
    const void *of; /* for the functions, which are called for what the format has: */

    /* A CGI parameter, NULL when absent, and a field of the response, not terminated. */
    const char *(*param)(const void *of, const struct accesslog_name *name, size_t *len);
    const char *(*field)(const void *of, const char *name, size_t *len);
    const char *(*id)(const void *of); /* what the request is called */

    const char *status;   /* "200 OK" */
    const char *script;   /* the file, "" when there is none */
    uint64_t bytes;       /* of the body that was sent */
    int64_t microseconds; /* from the whole head to the end of the response */
    uint32_t queued;      /* ms that it waited for a worker before that */
    time_t at;            /* when it came */
    size_t peak;          /* most bytes of memory that the state had meanwhile */
    int process, worker;
};

/* Makes `out` the line, with a newline. What a client chose is escaped as Apache does:
 * quotes, backslashes, and what is not printable in ASCII. false: out of memory. */
bool accesslog_write(const struct accesslog *format, const struct accesslog_entry *entry,
                     struct buffer *out);

#endif
