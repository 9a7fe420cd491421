/* The head of a response: its status and its headers, the configuration's to begin with.
 *
 * Owned by a request; used by the thread that works on it. Nothing blocks. Zeroed memory
 * is an empty one, for head_reset. */
#ifndef LUAFCGID2_REQUEST_HEAD_H
#define LUAFCGID2_REQUEST_HEAD_H

#include "base/buffer.h"
#include "config.h"
#include "http/header.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAD_STATUS_SIZE 128

struct head {
    char status[HEAD_STATUS_SIZE];
    bool status_set; /* since head_reset */
    struct headers headers;
    struct buffer session_cookie; /* value of the session's Set-Cookie; empty: none. A
                                     reset does not touch it */

    /* DefaultHttpStatus, DefaultContentType and DefaultHeaders, parsed once. */
    struct config *defaults_of; /* a reference; NULL: not parsed */
    char default_status[HEAD_STATUS_SIZE];
    struct headers default_headers;
};

/* Status and headers are the configuration's defaults again. false: out of memory, and
 * either may still be what it was. */
bool head_reset(struct head *h, struct config *config);
void head_free(struct head *h);

/* "404 Not Found", "404". false: not a status from 200 to 599, or with CR, LF, NUL;
 * nothing changes. */
bool head_set_status(struct head *h, const char *text, size_t len);

/* A header field by whatever name; Status goes to head_set_status. */
enum headers_result head_set(struct head *h, const char *name, size_t name_len,
                             const char *value, size_t value_len);

/* Whether a field of that name is there and differs from the configuration's default. */
bool head_header_is_own(const struct head *h, const char *name);

/* The same for every line of a text of lines; stops at the first bad one. */
enum headers_result head_set_lines(struct head *h, const char *text, size_t len);

/* The same in the place of all headers but the content type, which stays unless the text
 * has one. On failure nothing changes. */
enum headers_result head_replace(struct head *h, const char *text, size_t len);

/* Whether a response of this status has no body and no length of one: 204, 304. */
bool head_is_without_content(const struct head *h);

/* Appends the head as CGI has it (RFC 3875 section 6.3), with the empty line. `length` is
 * that of the body, or -1 when it is not known. For a HEAD request (`of_head`) a length
 * that the script has set stays. Changes `h`: what cannot be so is put right. false: out
 * of memory. */
bool head_write(struct head *h, bool of_head, int64_t length, struct buffer *out);

#endif
