/* The CGI parameters of one request (RFC 3875 section 4.1), as the web server sent them.
 *
 * Parsed in place: names and values are the memory that params_parse was given, and last
 * as long as that does. Owned by a request, which uses one for each request in turn.
 * Nothing blocks. Zeroed memory is an empty one. */
#ifndef LUAFCGID2_REQUEST_PARAMS_H
#define LUAFCGID2_REQUEST_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Only `value` is terminated by a NUL. */
struct param {
    const char *name, *value;
    size_t name_len, value_len;
};

/* Those that the daemon itself looks at. */
enum param_name {
    PARAM_HTTPS,
    PARAM_HTTP_PROXY, /* never a script's: params_parse drops it */
    PARAM_REQUEST_ID,
    PARAM_SCRIPT_NAME,
    PARAM_REQUEST_URI,
    PARAM_SERVER_NAME,
    PARAM_REMOTE_USER,
    PARAM_HTTP_COOKIE,
    PARAM_REMOTE_ADDR,
    PARAM_HTTP_REFERER,
    PARAM_DOCUMENT_ROOT, /* given or derived, without a final slash */
    PARAM_REQUEST_METHOD,
    PARAM_CONTENT_LENGTH,
    PARAM_REQUEST_SCHEME,
    PARAM_SCRIPT_FILENAME, /* without a web server's decoration */
    PARAM_HTTP_USER_AGENT,
    PARAM_SERVER_PROTOCOL,
    PARAM_HTTP_ACCEPT_LANGUAGE,
    PARAM_NAMES
};

struct params {
    struct param *list; /* all of them, `count` of `cap` */
    size_t count, cap;
    const char *values[PARAM_NAMES]; /* "" when absent, */
    size_t lens[PARAM_NAMES];        /* and 0 */
    int64_t content_length;          /* -1: unknown, the body ends where it ends */
    char *root;                      /* memory for PARAM_DOCUMENT_ROOT, or NULL */
    char *pairs;                     /* what params_parse was given, */
    size_t len;                      /* and how much of it */
    char *own;                       /* memory for a copy of that, or NULL */
};

/* Reads `len` bytes of name-value pairs (FastCGI 1.0, section 3.4), with room for one
 * byte behind them. Both are changed, and used until the next call. false: out of memory,
 * or the pairs are cut short. */
bool params_parse(struct params *p, char *pairs, size_t len);

/* Makes a copy of the pairs, which are not used any more then. Where the parameters were
 * changes. false: out of memory; then nothing does. */
bool params_keep(struct params *p);

void params_free(struct params *p);

#endif
