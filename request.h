/* One HTTP request: its parameters, its body, its response. No Lua, no threads.
 *
 * A request reads and writes through the operations that request_begin is given
 * (request/peer.h): a web server's connection, or something else. Owned by whoever works
 * on it. It is used for one request after the other, and keeps its memory between them.
 */
#ifndef LUAFCGID2_REQUEST_H
#define LUAFCGID2_REQUEST_H

#include "base/buffer.h"
#include "config.h"
#include "http/header.h"
#include "request/params.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct log_request;
struct page_detail;
struct peer_operations;
struct request;

struct request *request_create(void);    /* NULL: out of memory */
void request_destroy(struct request *r); /* NULL is allowed */

/* Begins with the next one: reads its parameters, and sets its response to the
 * configuration's defaults. `context` is for the operations; all four are borrowed until
 * the next call. Blocks no more than operations->begin. false: nothing can be answered.
 */
bool request_begin(struct request *r, const struct peer_operations *operations,
                   void *context, struct config *config);

/* NULL, or the HTTP status and text with which to refuse a request before any script is
 * looked for: no SCRIPT_FILENAME (500), AllowedExtensions (404), MaxPostSize and
 * MaxUploadSize (413), more than 1000 parameters (431). */
int request_refuse(const struct request *r, const char **why);

/* -- What is known of it -- */

/* The value of a parameter, "" when absent. */
const char *request_param(const struct request *r, enum param_name name);

/* The same for any other; NULL when absent. Looks at all of them. */
const char *request_find_param(const struct request *r, const char *name, size_t *len);

/* All parameters, `*count`. */
const struct param *request_params(const struct request *r, size_t *count);

/* The same, with those that the daemon itself looks at. */
const struct params *request_all_params(const struct request *r);

enum { REQUEST_ID_LEN = 32 /* of those that are made here */ };

/* What the request is called in the logs: REQUEST_ID, if the web server sent it; else
 * hexadecimal digits, made here when they are first asked for. Async-signal-safe. */
const char *request_id(struct request *r);

/* For log_set_request. Lasts as the parameters do. */
const struct log_request *request_for_log(const struct request *r);

/* Tells the web server's own log of an error (FastCGI 1.0, FCGI_STDERR). If a part of the
 * response is out, it must fail afterwards (request_fail). Does not block. */
void request_report(struct request *r, const char *message, size_t len);

const struct config *request_config(const struct request *r);

/* The client went away: nothing is sent any more. */
bool request_is_gone(const struct request *r);

/* The response is not whole: the connection must close. */
bool request_is_cut(const struct request *r);

/* -- Body -- */

/* Up to `size` bytes of the body; 0 when it is over, failed, or too large. Blocks for
 * ReadTimeout at most; the request's clock stands still meanwhile. All waits for a body
 * together may take RequestTimeout, and a second for each thousand bytes that came. */
size_t request_read(struct request *r, void *data, size_t size);

/* The same without waiting. `*later`: nothing is there yet. */
size_t request_try_read(struct request *r, void *data, size_t size, bool *later);

/* For who waits for the body himself: milliseconds that it may take until the next byte
 * comes, -1: for ever; and how long he did, and whether that was too long. */
int64_t request_body_patience(const struct request *r);
void request_note_body_wait(struct request *r, int64_t awaited, bool late);

/* Bytes of the body that are still to come; -1: unknown. */
int64_t request_body_left(const struct request *r);

/* Whether it did not arrive whole: it stopped, or ended before CONTENT_LENGTH. */
bool request_body_failed(const struct request *r);

/* Whether it is larger than MaxPostSize, or than MaxUploadSize if that holds; and a text
 * that says which, for the log. */
bool request_body_too_large(const struct request *r);
const char *request_too_large_text(const struct request *r);

/* From now on the body may be as large as MaxUploadSize: it does not go to memory. To be
 * called before any of it is read. */
void request_expect_upload(struct request *r);

/* Whether some of the body has been read. */
bool request_body_begun(const struct request *r);

/* -- Response: status and headers -- */

/* "200 OK". Until the next function that changes it. */
const char *request_status(const struct request *r);

/* "404 Not Found", "404". false: not a status from 200 to 599, or with CR, LF, NUL;
 * nothing changes. */
bool request_set_status(struct request *r, const char *text, size_t len);

/* As headers_get and headers_write. */
const char *request_header(const struct request *r, const char *name, size_t *len);
bool request_write_headers(const struct request *r, struct buffer *out);

/* Whether a field of that name is there and differs from the configuration's default. */
bool request_header_is_own(const struct request *r, const char *name);

/* A header field by whatever name; Status goes to request_set_status. */
enum headers_result request_set_header(struct request *r, const char *name,
                                       size_t name_len, const char *value,
                                       size_t value_len);

/* The same for each line of a text of lines, which take the place of all headers but the
 * content type; that, too, if it is among them. On failure nothing changes. */
enum headers_result request_replace_headers(struct request *r, const char *text,
                                            size_t len);

/* The value of the session's Set-Cookie, for the session to write; empty: none. A reset
 * does not touch it. */
struct buffer *request_session_cookie(struct request *r);

/* Whether the head went out: status and headers can be changed no more. */
bool request_head_sent(const struct request *r);

/* -- Response: body -- */

bool request_is_buffering(const struct request *r);
void request_set_buffering(struct request *r, bool buffering);

/* What is buffered of the body, for whoever counts its memory. */
struct buffer *request_buffer(struct request *r);

/* Whether there is something of the body, sent or buffered. */
bool request_has_sent(const struct request *r);

/* Appends to the body. Sends it at once without buffering, and now and then once the head
 * is out. What sends blocks for WriteTimeout at most. false: out of memory. */
bool request_send(struct request *r, const void *data, size_t len);

/* The two halves of that: appends only; whether that is to be sent now. */
bool request_append(struct request *r, const void *data, size_t len);
bool request_is_due(const struct request *r);

/* As request_flush, without waiting: what the client does not take at once is kept for
 * it, and request_settle is next. Waits only where no more may be kept
 * (MaxPendingOutput). */
bool request_push(struct request *r);

/* Goes on with that. true: it is out, or the client is gone. `*moved`: some of it is out.
 * With `waits` it blocks for WriteTimeout at most. */
bool request_settle(struct request *r, bool waits, bool *moved);

/* The client has taken nothing for WriteTimeout: it counts as gone. */
void request_give_up(struct request *r);

/* Sends the head, once, and all that is buffered. false: out of memory. */
bool request_flush(struct request *r);

/* Drops the body that is buffered, and with `all` status and headers, too. */
void request_reset(struct request *r, bool all);

/* Makes the response a page for `status`. `detail`, which may be NULL, is what the client
 * is shown of the error (http/page.h). After the first flush it can only cut the response
 * off. */
void request_fail(struct request *r, int status, const struct page_detail *detail);

/* Bytes of the body that went out, or were given to the connection to go out. */
uint64_t request_body_sent(const struct request *r);

/* Sends what is left and ends the response. A second call does nothing; what is sent
 * after the first is dropped, and what is left of the body is lost. */
void request_finish(struct request *r);

/* Whether request_finish was called. */
bool request_is_over(const struct request *r);

/* The request will rest for a while: it gives back what memory it does not need, and with
 * true it does not use any more what operations->begin gave to it. Where its parameters
 * were changes. */
bool request_rest(struct request *r);

/* The client has gone, as somebody has seen who neither reads nor writes. */
void request_set_gone(struct request *r);

#endif
