/* The format of an access log, of Apache's directives (mod_log_config), compiled.
 *
 * It is compiled once, and immutable from then on: any thread may use it. Nothing here
 * blocks. http/accessline.h writes the lines. */
#ifndef LUAFCGID2_HTTP_ACCESSLOG_H
#define LUAFCGID2_HTTP_ACCESSLOG_H

#include <stddef.h>

/* Parameters that most formats have: who looks them up may know where they are. */
enum accesslog_param {
    ACCESSLOG_METHOD,
    ACCESSLOG_URI,
    ACCESSLOG_SCRIPT_NAME,
    ACCESSLOG_CLIENT,
    ACCESSLOG_USER,
    ACCESSLOG_PROTOCOL,
    ACCESSLOG_REFERER,
    ACCESSLOG_AGENT,
    ACCESSLOG_OTHERS, /* the first number of the others, which differ in a format; */
    ACCESSLOG_SHARED =
        31, /* and this is the number of all for which there is none left */
    ACCESSLOG_NUMBERS,
};

/* The name of a CGI parameter, terminated, and its number, of those above. */
struct accesslog_name {
    const char *text;
    size_t len;
    int number;
};

enum accesslog_code {
    ACCESSLOG_END,  /* nothing: the last item's */
    ACCESSLOG_TEXT, /* nothing: the text goes on in the next item */
    ACCESSLOG_NOTHING,
    ACCESSLOG_VALUE,
    ACCESSLOG_PATH,
    ACCESSLOG_QUERY,
    ACCESSLOG_REQUEST,
    ACCESSLOG_STATUS,
    ACCESSLOG_BYTES,
    ACCESSLOG_BYTES_OR_DASH,
    ACCESSLOG_TIME,
    ACCESSLOG_DURATION,
    ACCESSLOG_QUEUED,
    ACCESSLOG_PEAK,
    ACCESSLOG_PROCESS,
    ACCESSLOG_WORKER,
    ACCESSLOG_SCRIPT,
    ACCESSLOG_ID,
    ACCESSLOG_FIELD,
};

enum { ACCESSLOG_TEXT_MAX = 16 /* bytes of an item's text */ };

/* A text, and a directive's value behind it. */
struct accesslog_item {
    char text[ACCESSLOG_TEXT_MAX]; /* of `len` bytes */
    size_t len;
    enum accesslog_code code;
    unsigned unit;              /* microseconds, of a duration */
    struct accesslog_name name; /* of the parameter, or of a field of the response */
};

struct accesslog {
    char *memory; /* of the names */
    size_t name_count;
    struct accesslog_name names[ACCESSLOG_SHARED]; /* by their numbers, each once */
    struct accesslog_item items[];
};

/* Directives, or "common", "combined" or "timed". NULL: `wrong` says which directive is
 * none, or that there is no memory. */
struct accesslog *accesslog_compile(const char *format, char *wrong, size_t size);
void accesslog_free(struct accesslog *format); /* NULL is allowed */

#endif
