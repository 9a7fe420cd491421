/* Lines of an access log, in a compiled format (http/accesslog.h).
 *
 * Made in the thread that has the request. Nothing here blocks. */
#ifndef LUAFCGID2_HTTP_ACCESSLINE_H
#define LUAFCGID2_HTTP_ACCESSLINE_H

#include "base/buffer.h"
#include "base/bytes.h"
#include "http/accesslog.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

enum { ACCESSLINE_MAX = 8192 /* bytes of a line, its newline included */ };

/* What a line can tell of a request. All is borrowed for the call. A text that is not
 * there has the length 0. */
struct accessline_entry {
    const void *of; /* for the functions: */

    /* The values of the CGI parameters up to ACCESSLOG_OTHERS; that of another one. */
    void (*known)(const void *of, struct bytes *values);
    struct bytes (*param)(const void *of, const struct accesslog_name *name);

    /* A field of the response, and what the request is called. */
    struct bytes (*field)(const void *of, const char *name);
    struct bytes (*id)(const void *of);

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
bool accessline_write(const struct accesslog *format,
                      const struct accessline_entry *entry, struct buffer *out);

#endif
