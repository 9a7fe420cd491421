/* One HTTP request: its parameters, its body, its response. No Lua here.
 *
 * A worker has one struct request and uses it for one request after the other; its memory
 * (buffers, tables) is kept between them. Owned by that worker. */
#ifndef LUAFCGID2_REQUEST_H
#define LUAFCGID2_REQUEST_H

#include "base/buffer.h"
#include "config.h"
#include "fastcgi/connection.h"
#include "fastcgi/fcgi.h"
#include "http/header.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A CGI parameter (RFC 3875 section 4.1), borrowed from libfcgi. Only `value` is
 * NUL-terminated. */
struct request_param {
    const char *name, *value;
    size_t name_len, value_len;
};

struct request {
    struct connection *connection;
    struct config *config; /* borrowed from the worker, for this request */
    struct fcgi *fcgi;

    struct request_param *params; /* all of them, `param_count` of `param_cap` */
    size_t param_count, param_cap;

    /* Some of them, "" when absent. */
    const char *script_filename; /* without a web server's decoration */
    const char *document_root;   /* given or derived, without a final slash */
    const char *script_name, *request_method, *server_name, *cookie;
    const char *https, *request_scheme, *remote_addr, *user_agent, *accept_language;
    const char *length, *proxy; /* CONTENT_LENGTH, HTTP_PROXY: see request_parse */
    int64_t content_length;     /* -1: unknown, the body ends where it ends */
    char *derived_root;         /* memory of a derived DOCUMENT_ROOT */

    int64_t received; /* bytes of the body read so far */
    int64_t awaited;  /* milliseconds that it was waited for */
    bool body_ended, body_failed, body_too_large;

    /* The response */
    char status[128];
    bool status_set; /* by the script, or by a page for a failure */
    struct headers headers;
    struct headers default_headers; /* of `defaults_of`, as is: */
    char default_status[128];
    const struct config *defaults_of;
    struct buffer head, body;
    struct buffer session_cookie; /* value of the session's Set-Cookie, which outlives
                                     resets; empty: none */
    bool buffering;
    bool head_sent; /* something went out: status and headers are history */
    bool body_sent; /* some of the body went out */
    bool gone;      /* the client went away: nothing more is sent or kept */
    bool aborted;   /* the response is not complete: the connection must close */
};

bool request_init(struct request *r); /* once per worker; `r` zeroed. false: no memory */
void request_free(struct request *r);

/* Reads the head that waits on `c` and sets the response's defaults. false: nothing can
 * be answered; only request_release is left to do. */
bool request_begin(struct request *r, struct connection *c, struct config *config);

/* The parameters into `r`: `len` bytes of name-value pairs (FastCGI 3.4) and one more,
 * changed in place and used until the next call. false: out of memory, or cut short. Part
 * of request_begin. */
bool request_parse(struct request *r, char *pairs, size_t len);

/* NULL, or the HTTP status and text with which to refuse a request before any script is
 * looked for: no SCRIPT_FILENAME (500), AllowedExtensions (404), MaxPostSize (413), more
 * than 1000 parameters (431). */
int request_refuse(const struct request *r, const char **why);

/* -- Body -- */

/* Up to `size` bytes of the body; 0 when it is over, failed, or larger than MaxPostSize,
 * as the fields above then say. Blocks for ReadTimeout at most; the request's clock
 * stands still meanwhile. All waits for a body together may take RequestTimeout, and a
 * second for each thousand bytes that have come. */
size_t request_read(struct request *r, void *data, size_t size);

/* -- Response -- */

/* "404 Not Found", "404". false: not a status from 200 to 599, or with CR, LF, NUL;
 * nothing changes. */
bool request_set_status(struct request *r, const char *text, size_t len);

/* A header field by whatever name; Status goes to request_set_status. */
enum headers_result request_set_header(struct request *r, const char *name,
                                       size_t name_len, const char *value,
                                       size_t value_len);

/* The same for every line of a text of lines; stops at the first bad one. */
enum headers_result request_set_headers(struct request *r, const char *text, size_t len);

/* The same in the place of all headers but the content type, unless that is among them.
 * On failure nothing changes. */
enum headers_result request_replace_headers(struct request *r, const char *text,
                                            size_t len);

/* Whether there is something of the body, sent or buffered. */
bool request_has_sent(const struct request *r);

/* Appends to the body; goes out at once without buffering. false: out of memory. */
bool request_send(struct request *r, const void *data, size_t len);

/* Sends the head, once, and all that is buffered. */
bool request_flush(struct request *r);

/* Drops the body that is buffered, and with `all` status and headers too. */
void request_reset(struct request *r, bool all);

/* Makes the response a page for `status`. `detail` is text for the client, escaped here,
 * or NULL. After the first flush it can only end the response. */
void request_fail(struct request *r, int status, const char *detail);

/* Sends what is left and ends the response. */
void request_finish(struct request *r);

/* Gives the connection back, kept when all went well. */
void request_release(struct request *r, struct connections *set);

#endif
