/* The head of a response. Runs in the thread that works on the request; no lock. */
#include "request/head.h"

#include "base/ascii.h"
#include "http/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* -- Status and headers -- */

/* A status below 200 is no answer: a web server that gets one waits for the answer. */
bool head_set_status(struct head *h, const char *text, size_t len)
{
    if (len < 3 || len >= sizeof h->status || text[0] < '2' || text[0] > '5' ||
        !ascii_is_digit(text[1]) || !ascii_is_digit(text[2]) ||
        (len > 3 && text[3] != ' '))
        return false;
    for (size_t i = 3; i < len; i++)
        if (text[i] == '\r' || text[i] == '\n' || text[i] == '\0')
            return false;
    memcpy(h->status, text, len);
    h->status[len] = '\0';
    if (len <= 4) {
        const char *reason = status_reason(atoi(h->status));
        snprintf(h->status + 3, sizeof h->status - 3, " %s",
                 reason == NULL ? "Unassigned" : reason);
    }
    h->status_set = true;
    return true;
}

enum headers_result head_set(struct head *h, const char *name, size_t name_len,
                             const char *value, size_t value_len)
{
    if (name_len != 6 || strncasecmp(name, "Status", 6) != 0)
        return headers_set(&h->headers, name, name_len, value, value_len);
    while (value_len > 0 && (*value == ' ' || *value == '\t')) {
        value++;
        value_len--;
    }
    return head_set_status(h, value, value_len) ? HEADERS_OK : HEADERS_BAD_VALUE;
}

/* A Status among the lines is taken out: as a header it would be there twice. */
enum headers_result head_set_lines(struct head *h, const char *text, size_t len)
{
    enum headers_result result = headers_set_lines(&h->headers, text, len);
    size_t status_len;
    const char *status = headers_get(&h->headers, "Status", &status_len);
    if (status == NULL)
        return result;
    if (!head_set_status(h, status, status_len))
        result = HEADERS_BAD_VALUE;
    headers_remove(&h->headers, "Status");
    return result;
}

enum headers_result head_replace(struct head *h, const char *text, size_t len)
{
    struct headers before = h->headers;
    char status[sizeof h->status];
    bool status_set = h->status_set;
    memcpy(status, h->status, sizeof status);
    h->headers = (struct headers){0};
    size_t type_len;
    const char *type = headers_get(&before, "Content-Type", &type_len);
    enum headers_result result = HEADERS_OK;
    if (type != NULL)
        result = headers_set(&h->headers, "Content-Type", 12, type, type_len);
    if (result == HEADERS_OK)
        result = head_set_lines(h, text, len);
    if (result == HEADERS_OK) {
        headers_free(&before);
        return result;
    }
    headers_free(&h->headers);
    h->headers = before;
    memcpy(h->status, status, sizeof status);
    h->status_set = status_set;
    return result;
}

/* -- Defaults -- */

/* Into `headers` and `status`, and from there into the copies that later resets use. */
static bool parse_defaults(struct head *h, struct config *c)
{
    config_unref(h->defaults_of);
    h->defaults_of = NULL;
    headers_reset(&h->headers, NULL);
    if (!head_set_status(h, c->default_http_status, strlen(c->default_http_status)) ||
        headers_set(&h->headers, "Content-Type", 12, c->default_content_type,
                    strlen(c->default_content_type)) != HEADERS_OK ||
        head_set_lines(h, c->default_headers, strlen(c->default_headers)) != HEADERS_OK ||
        !headers_reset(&h->default_headers, &h->headers))
        return false;
    memcpy(h->default_status, h->status, sizeof h->status);
    h->status_set = false;
    h->defaults_of = config_ref(c);
    return true;
}

bool head_header_is_own(const struct head *h, const char *name)
{
    size_t len, default_len;
    const char *value = headers_get(&h->headers, name, &len);
    const char *usual = headers_get(&h->default_headers, name, &default_len);
    return value != NULL &&
           (usual == NULL || len != default_len || memcmp(value, usual, len) != 0);
}

bool head_reset(struct head *h, struct config *config)
{
    if (h->defaults_of != config)
        return parse_defaults(h, config);
    memcpy(h->status, h->default_status, sizeof h->status);
    h->status_set = false;
    return headers_reset(&h->headers, &h->default_headers);
}

void head_free(struct head *h)
{
    config_unref(h->defaults_of);
    headers_free(&h->headers);
    headers_free(&h->default_headers);
    buffer_free(&h->session_cookie);
    *h = (struct head){0};
}

/* -- Writing -- */

/* RFC 9110 sections 15.3.5, 15.4.5, 8.6. */
bool head_is_without_content(const struct head *h)
{
    return h->status[1] == '0' && h->status[2] == '4' &&
           (h->status[0] == '2' || h->status[0] == '3');
}

/* A redirect needs a status of its own (RFC 3875 section 6.2.3). A script that sets only
 * Location means one. */
static void redirect(struct head *h)
{
    size_t len;
    if (!h->status_set && h->status[0] != '3' &&
        headers_get(&h->headers, "Location", &len) != NULL && len > 0)
        head_set_status(h, "302", 3);
}

static bool has_length(const struct head *h)
{
    size_t len;
    const char *text = headers_get(&h->headers, "Content-Length", &len);
    if (text == NULL || len == 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (!ascii_is_digit(text[i]))
            return false;
    return true;
}

/* Every response has one, and printf is slow. Built from its end. */
static bool write_length(struct buffer *out, int64_t length)
{
    char line[40];
    size_t at = sizeof line;
    line[--at] = '\n';
    line[--at] = '\r';
    do
        line[--at] = (char)('0' + length % 10);
    while ((length /= 10) > 0);
    at -= 16;
    memcpy(line + at, "Content-Length: ", 16);
    return buffer_append(out, line + at, sizeof line - at);
}

static bool write_session_cookie(const struct head *h, struct buffer *out)
{
    return buffer_puts(out, "Set-Cookie: ") &&
           buffer_append(out, h->session_cookie.data, h->session_cookie.len) &&
           buffer_append(out, "\r\n", 2);
}

/* A script that makes no body for HEAD may say how long the one for GET is (RFC 9110
 * section 8.6). No other length of a script's is believed when the body's is known. */
bool head_write(struct head *h, bool of_head, int64_t length, struct buffer *out)
{
    redirect(h);
    bool without_content = head_is_without_content(h);
    if (without_content || (length >= 0 && of_head && has_length(h)))
        length = -1;
    if (length >= 0 || without_content)
        headers_remove(&h->headers, "Content-Length");
    bool ok = buffer_append(out, "Status: ", 8) && buffer_puts(out, h->status) &&
              buffer_append(out, "\r\n", 2) && headers_write(&h->headers, out);
    if (ok && length >= 0)
        ok = write_length(out, length);
    if (ok && h->session_cookie.len > 0)
        ok = write_session_cookie(h, out);
    return ok && buffer_append(out, "\r\n", 2);
}
