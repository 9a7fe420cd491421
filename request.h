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
#include "request/params.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct request {
    struct connection *connection;
    struct config *config; /* borrowed from the worker, for this request */
    struct fcgi *fcgi;

    struct params params;

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

/* -- Parameters -- */

/* The value of one, "" when absent. */
const char *request_param(const struct request *r, enum param_name name);

/* All of them, `*count`. */
const struct param *request_params(const struct request *r, size_t *count);

/* NULL, or the HTTP status and text with which to refuse a request before any script is
 * looked for: no SCRIPT_FILENAME (500), AllowedExtensions (404), MaxPostSize (413), more
 * than 1000 parameters (431). */
int request_refuse(const struct request *r, const char **why);

/* -- What is known of it -- */

const struct config *request_config(const struct request *r);
bool request_is_gone(const struct request *r); /* the client: nothing is sent any more */

/* -- Body -- */

/* Up to `size` bytes of the body; 0 when it is over, failed, or larger than MaxPostSize,
 * as the fields above then say. Blocks for ReadTimeout at most; the request's clock
 * stands still meanwhile. All waits for a body together may take RequestTimeout, and a
 * second for each thousand bytes that have come. */
size_t request_read(struct request *r, void *data, size_t size);

/* Bytes of the body that are still to come; -1: unknown. */
int64_t request_body_left(const struct request *r);

/* Whether it did not arrive whole: it stopped, or ended before CONTENT_LENGTH. */
bool request_body_failed(const struct request *r);
bool request_body_too_large(const struct request *r); /* larger than MaxPostSize */

/* -- Response -- */

/* "200 OK". Until the next function that changes it. */
const char *request_status(const struct request *r);

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

/* As headers_get and headers_write. */
const char *request_header(const struct request *r, const char *name, size_t *len);
bool request_write_headers(const struct request *r, struct buffer *out);

/* Whether the head went out: status and headers can be changed no more. */
bool request_head_sent(const struct request *r);

/* The value of the session's Set-Cookie, for the session to write; empty: none. A reset
 * does not touch it. */
struct buffer *request_session_cookie(struct request *r);

bool request_is_buffering(const struct request *r);
void request_set_buffering(struct request *r, bool buffering);

/* What is buffered of the body, for whoever counts its memory. */
struct buffer *request_buffer(struct request *r);

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
