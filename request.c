/* One HTTP request and its response, between the record layer below
 * (fastcgi/connection.h) and the scripts above (lua/api.c). Runs in the worker that owns
 * the connection; no locks. */
#include "request.h"

#include "base/ascii.h"
#include "base/log.h"
#include "base/watch.h"
#include "fastcgi/record.h"
#include "fastcgi/stream.h"
#include "http/page.h"
#include "http/status.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Memory that a worker keeps for the next response. */
#ifndef BODY_KEEP
#define BODY_KEEP (256 * 1024)
#endif
#ifndef HEAD_KEEP
#define HEAD_KEEP (16 * 1024)
#endif

/* A response that streams is sent on when this much has piled up without a Flush. */
#ifndef STREAM_BYTES
#define STREAM_BYTES (64 * 1024)
#endif

/* Parameters of a request; web servers send some 25, and as many as the client's headers.
 * Who chooses their names can choose such as Lua's hash makes the same: each costs a walk
 * along all the others. */
#define PARAMS_MAX   1000
#define TEXT_OF(x)   #x
#define NUMBER(x)    TEXT_OF(x)
#define SLOWEST_BODY 1000 /* bytes a second; see request_read */

/* -- Parameters -- */

static bool extension_allowed(const struct request *r)
{
    char **allowed = r->config->allowed_extensions;
    size_t len = strlen(r->params.values[PARAM_SCRIPT_FILENAME]);
    for (size_t i = 0; allowed[i] != NULL; i++) {
        size_t n = strlen(allowed[i]);
        if (n < len &&
            strcmp(r->params.values[PARAM_SCRIPT_FILENAME] + len - n, allowed[i]) == 0)
            return true;
    }
    return allowed[0] == NULL;
}

int request_refuse(const struct request *r, const char **why)
{
    if (r->params.values[PARAM_SCRIPT_FILENAME][0] == '\0') {
        *why = "the web server sent no SCRIPT_FILENAME: add, for nginx, \"fastcgi_param "
               "SCRIPT_FILENAME $document_root$fastcgi_script_name;\" to its location";
        return 500;
    }
    if (!extension_allowed(r)) {
        *why = "its extension is not in AllowedExtensions";
        return 404;
    }
    if (r->params.count > PARAMS_MAX) {
        *why = "the request has more than " NUMBER(PARAMS_MAX) " parameters";
        return 431;
    }
    int64_t max = r->config->max_post_size;
    if (max > 0 && r->params.content_length > max) {
        *why = "the body is larger than MaxPostSize";
        return 413;
    }
    return 0;
}

/* -- Begin -- */

const char *request_param(const struct request *r, enum param_name name)
{
    return r->params.values[name];
}

const struct param *request_params(const struct request *r, size_t *count)
{
    *count = r->params.count;
    return r->params.list;
}

bool request_init(struct request *r)
{
    r->fcgi = fcgi_create();
    return r->fcgi != NULL;
}

void request_free(struct request *r)
{
    fcgi_destroy(r->fcgi);
    params_free(&r->params);
    headers_free(&r->headers);
    headers_free(&r->default_headers);
    buffer_free(&r->head);
    buffer_free(&r->body);
    buffer_free(&r->session_cookie);
    *r = (struct request){0};
}

/* The defaults of a configuration are parsed once, into `headers` and `status`, and
 * copied for each request. */
static bool parse_defaults(struct request *r)
{
    const struct config *c = r->config;
    headers_reset(&r->headers, NULL);
    if (!request_set_status(r, c->default_http_status, strlen(c->default_http_status)) ||
        headers_set(&r->headers, "Content-Type", 12, c->default_content_type,
                    strlen(c->default_content_type)) != HEADERS_OK ||
        request_set_headers(r, c->default_headers, strlen(c->default_headers)) !=
            HEADERS_OK ||
        !headers_reset(&r->default_headers, &r->headers))
        return false;
    memcpy(r->default_status, r->status, sizeof r->status);
    r->status_set = false;
    r->defaults_of = c;
    return true;
}

static bool set_defaults(struct request *r)
{
    if (r->defaults_of != r->config)
        return parse_defaults(r);
    memcpy(r->status, r->default_status, sizeof r->status);
    r->status_set = false;
    return headers_reset(&r->headers, &r->default_headers);
}

bool request_begin(struct request *r, struct connection *c, struct config *config)
{
    r->connection = c;
    r->config = config;
    r->received = r->awaited = 0;
    r->body_ended = r->body_failed = r->body_too_large = false;
    r->buffering = config->buffering;
    r->head_sent = r->body_sent = r->gone = r->aborted = false;
    buffer_clear(&r->head, HEAD_KEEP);
    buffer_clear(&r->body, BODY_KEEP);
    r->session_cookie.len = 0;
    char *params;
    size_t len;
    bool ok = stream_begin(c, r->fcgi, &params, &len) &&
              params_parse(&r->params, params, len) && set_defaults(r) &&
              buffer_reserve(&r->head, (size_t)config->headers_size) &&
              buffer_reserve(&r->body,
                             (size_t)config->body_size * (size_t)config->body_sectors);
    r->aborted = !ok;
    return ok;
}

const struct config *request_config(const struct request *r)
{
    return r->config;
}

bool request_is_gone(const struct request *r)
{
    return r->gone;
}

/* -- Body -- */

int64_t request_body_left(const struct request *r)
{
    int64_t length = r->params.content_length;
    if (length < 0)
        return -1;
    return length > r->received ? length - r->received : 0;
}

bool request_body_failed(const struct request *r)
{
    return r->body_failed;
}

bool request_body_too_large(const struct request *r)
{
    return r->body_too_large;
}

/* Milliseconds that the next wait for the body may take; -1: for ever. Who sends a byte
 * now and then must not hold a worker for days, and who is slow but steady is to be
 * served. */
static int64_t body_patience(const struct request *r)
{
    int64_t read = r->config->read_timeout, whole = r->config->request_timeout;
    if (whole <= 0)
        return read > 0 ? read : -1;
    int64_t left = whole + r->received * 1000 / SLOWEST_BODY - r->awaited;
    if (left < 0)
        left = 0;
    return read > 0 && read < left ? read : left;
}

/* Whether the body is over before all of CONTENT_LENGTH came. A web server may hold it
 * back as a whole: for a page in the place of another (error_page), a subrequest. */
static bool is_cut(const struct request *r)
{
    const char *method = r->params.values[PARAM_REQUEST_METHOD];
    bool held_back =
        r->received == 0 && (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0);
    return request_body_left(r) > 0 && !held_back;
}

size_t request_read(struct request *r, void *data, size_t size)
{
    if (r->body_ended || r->body_failed || r->body_too_large || size == 0)
        return 0;
    size_t got = 0;
    uint32_t paused = watch_paused();
    enum io_status status =
        stream_read(r->connection, data, size, &got, body_patience(r));
    r->awaited += watch_paused() - paused;
    switch (status) {
    case IO_OK:
        break;
    case IO_END:
        r->body_ended = true;
        r->body_failed = is_cut(r);
        return 0;
    case IO_TIMEOUT:
        log_warning("the request's body came too slowly (ReadTimeout)");
        r->body_failed = true;
        return 0;
    case IO_ABORTED:
        r->body_failed = r->gone = r->aborted = true;
        return 0;
    }
    r->received += (int64_t)got;
    int64_t max = r->config->max_post_size;
    if (max > 0 && r->received > max) {
        r->body_too_large = true;
        return 0;
    }
    return got;
}

/* -- Status and headers -- */

/* Those from 100 are no answers: a web server that gets one waits for the answer. */
bool request_set_status(struct request *r, const char *text, size_t len)
{
    if (len < 3 || len >= sizeof r->status || text[0] < '2' || text[0] > '5' ||
        !ascii_is_digit(text[1]) || !ascii_is_digit(text[2]) ||
        (len > 3 && text[3] != ' '))
        return false;
    for (size_t i = 3; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0')
            return false;
    memcpy(r->status, text, len);
    r->status[len] = '\0';
    if (len <= 4) {
        const char *reason = status_reason(atoi(r->status));
        snprintf(r->status + 3, sizeof r->status - 3, " %s",
                 reason == NULL ? "Unassigned" : reason);
    }
    r->status_set = true;
    return true;
}

enum headers_result request_set_header(struct request *r, const char *name,
                                       size_t name_len, const char *value,
                                       size_t value_len)
{
    if (name_len != 6 || strncasecmp(name, "Status", 6) != 0)
        return headers_set(&r->headers, name, name_len, value, value_len);
    while (value_len > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        value_len--;
    }
    return request_set_status(r, value, value_len) ? HEADERS_OK : HEADERS_BAD_VALUE;
}

/* A Status among them would stand there twice: it goes where it belongs. */
enum headers_result request_set_headers(struct request *r, const char *text, size_t len)
{
    enum headers_result result = headers_set_lines(&r->headers, text, len);
    size_t status_len;
    const char *status = headers_get(&r->headers, "Status", &status_len);
    if (status == NULL)
        return result;
    if (!request_set_status(r, status, status_len))
        result = HEADERS_BAD_VALUE;
    headers_remove(&r->headers, "Status");
    return result;
}

enum headers_result request_replace_headers(struct request *r, const char *text,
                                            size_t len)
{
    struct headers before = r->headers;
    char status[sizeof r->status];
    bool status_set = r->status_set;
    memcpy(status, r->status, sizeof status);
    r->headers = (struct headers){0};
    size_t type_len;
    const char *type = headers_get(&before, "Content-Type", &type_len);
    enum headers_result result = HEADERS_OK;
    if (type != NULL)
        result = headers_set(&r->headers, "Content-Type", 12, type, type_len);
    if (result == HEADERS_OK)
        result = request_set_headers(r, text, len);
    if (result == HEADERS_OK) {
        headers_free(&before);
        return result;
    }
    headers_free(&r->headers);
    r->headers = before;
    memcpy(r->status, status, sizeof status);
    r->status_set = status_set;
    return result;
}

const char *request_status(const struct request *r)
{
    return r->status;
}

const char *request_header(const struct request *r, const char *name, size_t *len)
{
    return headers_get(&r->headers, name, len);
}

bool request_write_headers(const struct request *r, struct buffer *out)
{
    return headers_write(&r->headers, out);
}

bool request_head_sent(const struct request *r)
{
    return r->head_sent;
}

struct buffer *request_session_cookie(struct request *r)
{
    return &r->session_cookie;
}

bool request_is_buffering(const struct request *r)
{
    return r->buffering;
}

void request_set_buffering(struct request *r, bool buffering)
{
    r->buffering = buffering;
}

struct buffer *request_buffer(struct request *r)
{
    return &r->body;
}

/* -- Sending -- */

static bool is_head(const struct request *r)
{
    return r->params.values[PARAM_REQUEST_METHOD][0] == 'H' &&
           strcmp(r->params.values[PARAM_REQUEST_METHOD], "HEAD") == 0;
}

/* 204, 304: no body, and no length of one (RFC 9110 sections 15.3.5, 15.4.5, 8.6). */
static bool is_without_content(const struct request *r)
{
    return r->status[1] == '0' && r->status[2] == '4' &&
           (r->status[0] == '2' || r->status[0] == '3');
}

/* A redirect needs a status (RFC 3875 section 6.2.3), and a script that says where to go
 * need not say that it means it. */
static void redirect(struct request *r)
{
    size_t len;
    if (!r->status_set && r->status[0] != '3' &&
        headers_get(&r->headers, "Location", &len) != NULL && len > 0)
        request_set_status(r, "302", 3);
}

/* What a page that makes no body for HEAD says that its body would have (section 8.6). */
static bool has_length_of_its_own(const struct request *r)
{
    size_t len;
    const char *text =
        is_head(r) ? headers_get(&r->headers, "Content-Length", &len) : NULL;
    if (text == NULL || len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!ascii_is_digit(text[i]))
            return false;
    return true;
}

/* Every response has one, and printf is slow. */
static bool write_length(struct buffer *head, int64_t length)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = (char)('0' + length % 10);
    while ((length /= 10) > 0);
    return buffer_append(head, "Content-Length: ", 16) &&
           buffer_append(head, digits + at, sizeof digits - at) &&
           buffer_append(head, "\r\n", 2);
}

/* RFC 3875 section 6.3. `length` -1: it is not known, the body streams. */
static bool write_head(struct request *r, int64_t length)
{
    struct buffer *head = &r->head;
    redirect(r);
    if (is_without_content(r) || (length >= 0 && has_length_of_its_own(r)))
        length = -1;
    if (length >= 0 || is_without_content(r))
        headers_remove(&r->headers, "Content-Length");
    bool ok = buffer_append(head, "Status: ", 8) && buffer_puts(head, r->status) &&
              buffer_append(head, "\r\n", 2) && headers_write(&r->headers, head);
    if (ok && length >= 0)
        ok = write_length(head, length);
    if (ok && r->session_cookie.len > 0)
        ok = buffer_puts(head, "Set-Cookie: ") &&
             buffer_append(head, r->session_cookie.data, r->session_cookie.len) &&
             buffer_append(head, "\r\n", 2);
    return ok && buffer_append(head, "\r\n", 2);
}

/* Sends the head if it has not gone out, then the body so far, then with `end` the end
 * of the response. */
static bool transmit(struct request *r, bool end)
{
    bool whole = end && !r->head_sent;
    if (!r->head_sent && !write_head(r, whole ? (int64_t)r->body.len : -1)) {
        buffer_clear(&r->head, HEAD_KEEP); /* the head of the error page comes there */
        r->aborted = true;
        return false;
    }
    struct iovec parts[2] = {{r->head.data, r->head.len}, {r->body.data, r->body.len}};
    if (is_head(r) || is_without_content(r))
        parts[1].iov_len = 0;
    r->head_sent = true;
    r->body_sent |= r->body.len > 0;
    enum io_status status = IO_ABORTED;
    if (!r->gone)
        status =
            stream_write(r->connection, parts, 2, end,
                         r->config->write_timeout > 0 ? r->config->write_timeout : -1);
    if (status != IO_OK && !r->gone) {
        if (status == IO_TIMEOUT)
            log_warning("the web server did not take the response (WriteTimeout)");
        else
            log_debug("the client went away");
        r->gone = r->aborted = true;
    }
    buffer_clear(&r->head, HEAD_KEEP);
    buffer_clear(&r->body, BODY_KEEP);
    return true;
}

bool request_has_sent(const struct request *r)
{
    return r->body_sent || r->body.len > 0;
}

bool request_flush(struct request *r)
{
    if (r->head_sent && r->body.len == 0)
        return true;
    return transmit(r, false);
}

bool request_send(struct request *r, const void *data, size_t len)
{
    if (r->gone)
        return true;
    if (!buffer_append(&r->body, data, len))
        return false;
    if (!r->buffering || (r->head_sent && r->body.len >= STREAM_BYTES))
        return request_flush(r);
    return true;
}

void request_reset(struct request *r, bool all)
{
    buffer_clear(&r->body, BODY_KEEP);
    if (all && !r->head_sent)
        set_defaults(r); /* on failure what was set stays */
}

/* A response that broke off is not ended but cut off, by closing the connection: the web
 * server must not take it for a whole one, nor keep it in a cache. */
void request_finish(struct request *r)
{
    if (!r->aborted || !r->head_sent)
        transmit(r, true);
}

void request_release(struct request *r, struct connections *set)
{
    fcgi_release(r->fcgi);
    connection_release(set, r->connection, !r->aborted);
    r->connection = NULL;
}

/* -- Pages for failures -- */

/* What a visitor knows the page by. */
static const char *page_path(const struct request *r)
{
    return r->params.values[PARAM_SCRIPT_NAME][0] != '\0'
               ? r->params.values[PARAM_SCRIPT_NAME]
               : r->params.values[PARAM_SCRIPT_FILENAME];
}

void request_fail(struct request *r, int status, const char *detail)
{
    buffer_clear(&r->body, BODY_KEEP);
    if (r->head_sent) {
        r->aborted = true;
        return;
    }
    char code[12];
    snprintf(code, sizeof code, "%d", status);
    if (!set_defaults(r))
        headers_reset(&r->headers, NULL); /* nothing of the script's may stay */
    request_set_status(r, code, strlen(code));
    headers_set(&r->headers, "Content-Type", 12, PAGE_TYPE, strlen(PAGE_TYPE));
    if (!page_write(&r->body, r->status, page_path(r), detail))
        r->body.len = 0; /* the status alone */
}
