/* A response's header table: a short list that is searched from the front. A response has
 * some five fields, and a scan of these is faster than any hash. Runs on the thread that
 * works on the request, which owns the table. */
#include "http/header.h"

#include "base/ascii.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* A longer text, with its white space, is refused unread. */
#define TEXT_MAX_BYTES (4 * HEADERS_MAX_BYTES)

struct header_field {
    size_t name, name_len, value, value_len; /* offsets and lengths in `bytes` */
};

static bool is_token(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (!ascii_is_token(s[i]))
            return false;
    return len > 0;
}

static bool is_value(const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (s[i] == '\r' || s[i] == '\n' || s[i] == '\0')
            return false;
    return true;
}

/* Fields that may repeat: one more of them adds something and does not replace the
 * last. */
static bool may_repeat(const char *name, size_t len)
{
    static const char *const names[] = {"Set-Cookie",
                                        "Link",
                                        "WWW-Authenticate",
                                        "Vary",
                                        "Content-Security-Policy",
                                        "Content-Security-Policy-Report-Only",
                                        "Server-Timing",
                                        "Via"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strlen(names[i]) == len && strncasecmp(names[i], name, len) == 0)
            return true;
    return false;
}

static struct header_field *find(const struct headers *h, const char *name, size_t len)
{
    for (size_t i = 0; i < h->count; i++) {
        struct header_field *f = &h->list[i];
        if (f->name_len == len && strncasecmp(h->bytes.data + f->name, name, len) == 0)
            return f;
    }
    return NULL;
}

const char *headers_strerror(enum headers_result result)
{
    static const char *const texts[] = {
        [HEADERS_OK] = "no error",
        [HEADERS_BAD_NAME] = "not a header name",
        [HEADERS_BAD_VALUE] = "a header must not contain CR, LF or NUL",
        [HEADERS_TOO_LARGE] = ("the headers of a response are limited to 64 KiB "
                               "and 1000 lines"),
        [HEADERS_NO_MEMORY] = "out of memory",
    };
    return texts[result];
}

static void trim(const char **s, size_t *len)
{
    while (*len > 0 && (**s == ' ' || **s == '\t')) {
        (*s)++;
        (*len)--;
    }
    while (*len > 0 && ((*s)[*len - 1] == ' ' || (*s)[*len - 1] == '\t'))
        (*len)--;
}

/* Puts the bytes of a field at the end, or in the place of the field that they replace:
 * so a loop that sets one field over and over does not grow the table. */
static bool store_value(struct headers *h, struct header_field *f, const char *value,
                        size_t len)
{
    if (len > f->value_len) {
        f->value = h->bytes.len;
        if (!buffer_append(&h->bytes, value, len))
            return false;
    } else if (len > 0) {
        memcpy(h->bytes.data + f->value, value, len);
    }
    f->value_len = len;
    return true;
}

static struct header_field *add_field(struct headers *h)
{
    if (h->count == h->cap) {
        size_t cap = h->cap == 0 ? 8 : h->cap * 2;
        struct header_field *list = realloc(h->list, cap * sizeof *list);
        if (list == NULL)
            return NULL;
        h->list = list;
        h->cap = cap;
    }
    h->list[h->count] = (struct header_field){0};
    return &h->list[h->count];
}

/* A field that is set again and again with longer values leaves gaps. This writes the
 * table anew without them. */
static bool compact(struct headers *h)
{
    struct headers copy = {0};
    for (size_t i = 0; i < h->count; i++) {
        struct header_field *f = &h->list[i], *to = add_field(&copy);
        if (to == NULL || !buffer_reserve(&copy.bytes, f->name_len + f->value_len)) {
            headers_free(&copy);
            return false;
        }
        *to = (struct header_field){copy.bytes.len, f->name_len,
                                    copy.bytes.len + f->name_len, f->value_len};
        buffer_append(&copy.bytes, h->bytes.data + f->name, f->name_len);
        buffer_append(&copy.bytes, h->bytes.data + f->value, f->value_len);
        copy.count++;
    }
    headers_free(h);
    *h = copy;
    return true;
}

enum headers_result headers_set(struct headers *h, const char *name, size_t name_len,
                                const char *value, size_t value_len)
{
    size_t more = name_len + value_len;
    if (more > TEXT_MAX_BYTES)
        return HEADERS_TOO_LARGE;
    trim(&value, &value_len);
    if (!is_token(name, name_len))
        return HEADERS_BAD_NAME;
    if (!is_value(value, value_len))
        return HEADERS_BAD_VALUE;
    more = name_len + value_len;
    if (more > HEADERS_MAX_BYTES)
        return HEADERS_TOO_LARGE;
    if (h->bytes.len + more > HEADERS_MAX_BYTES) {
        if (!compact(h))
            return HEADERS_NO_MEMORY;
        if (h->bytes.len + more > HEADERS_MAX_BYTES)
            return HEADERS_TOO_LARGE;
    }
    if (!buffer_reserve(&h->bytes, more)) /* nothing below can fail half way */
        return HEADERS_NO_MEMORY;
    struct header_field *f = may_repeat(name, name_len) ? NULL : find(h, name, name_len);
    if (f == NULL) {
        if (h->count == HEADERS_MAX_COUNT)
            return HEADERS_TOO_LARGE;
        f = add_field(h);
        if (f == NULL)
            return HEADERS_NO_MEMORY;
        f->name = h->bytes.len;
        f->name_len = name_len;
        buffer_append(&h->bytes, name, name_len);
        h->count++;
    }
    return store_value(h, f, value, value_len) ? HEADERS_OK : HEADERS_NO_MEMORY;
}

enum headers_result headers_set_line(struct headers *h, const char *line, size_t len)
{
    if (len > 0 && line[len - 1] == '\n')
        len--;
    if (len > 0 && line[len - 1] == '\r')
        len--;
    const char *colon = len == 0 ? NULL : memchr(line, ':', len);
    if (colon == NULL)
        return HEADERS_BAD_NAME;
    size_t name_len = (size_t)(colon - line);
    return headers_set(h, line, name_len, colon + 1, len - name_len - 1);
}

enum headers_result headers_set_lines(struct headers *h, const char *text, size_t len)
{
    if (len > TEXT_MAX_BYTES)
        return HEADERS_TOO_LARGE;
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line_len = end == NULL ? len : (size_t)(end - text) + 1;
        bool blank = line_len - (end != NULL) == 0 || (line_len == 2 && text[0] == '\r');
        enum headers_result result =
            blank ? HEADERS_OK : headers_set_line(h, text, line_len);
        if (result != HEADERS_OK)
            return result;
        text += line_len;
        len -= line_len;
    }
    return HEADERS_OK;
}

void headers_remove(struct headers *h, const char *name)
{
    struct header_field *f;
    while ((f = find(h, name, strlen(name))) != NULL) {
        size_t after = h->count - (size_t)(f - h->list) - 1;
        memmove(f, f + 1, after * sizeof *f);
        h->count--;
    }
}

const char *headers_get(const struct headers *h, const char *name, size_t *len)
{
    struct header_field *f = find(h, name, strlen(name));
    if (f == NULL)
        return NULL;
    *len = f->value_len;
    return h->bytes.data + f->value;
}

bool headers_write(const struct headers *h, struct buffer *out)
{
    /* A replaced field may lie anywhere in `bytes`, so its size is counted instead of
     * using bytes.len. */
    size_t need = 0;
    for (size_t i = 0; i < h->count; i++)
        need += h->list[i].name_len + h->list[i].value_len + 4;
    if (!buffer_reserve(out, need))
        return false;
    for (size_t i = 0; i < h->count; i++) {
        const struct header_field *f = &h->list[i];
        buffer_append(out, h->bytes.data + f->name, f->name_len);
        buffer_append(out, ": ", 2);
        buffer_append(out, h->bytes.data + f->value, f->value_len);
        buffer_append(out, "\r\n", 2);
    }
    return true;
}

bool headers_reset(struct headers *h, const struct headers *from)
{
    h->count = 0;
    buffer_clear(&h->bytes, 4096);
    if (from == NULL || from->count == 0)
        return true;
    if (!buffer_append(&h->bytes, from->bytes.data, from->bytes.len))
        return false;
    if (h->cap < from->count) {
        struct header_field *list = realloc(h->list, from->cap * sizeof *list);
        if (list == NULL) {
            h->bytes.len = 0;
            return false;
        }
        h->list = list;
        h->cap = from->cap;
    }
    memcpy(h->list, from->list, from->count * sizeof *h->list);
    h->count = from->count;
    return true;
}

void headers_free(struct headers *h)
{
    buffer_free(&h->bytes);
    free(h->list);
    *h = (struct headers){0};
}
