/* Lines of an access log. Runs in the thread that has the request; what is static is each
 * thread's own.
 *
 * A line is made for every request, so what is short is written without a look at the
 * room that is left: there is some behind the end of the longest line, and what came to
 * stand there is cut off. */
#include "http/accessline.h"

#include <stdio.h>
#include <string.h>

enum {
    BEYOND = 256,   /* bytes behind the end of a line: an item's, but for long values */
    TIME_TEXT = 48, /* bytes of a time, and copied of it */
};

/* A request runs through more instructions than the processor has at hand, so what many
 * directives need is there once, and what few need is out of the way. */
#define APART __attribute__((noinline))
#define RARE  __attribute__((noinline, cold))

/* The line that is written. */
struct writer {
    const struct accessline_entry *entry;
    char *end;                            /* where it ends at the latest */
    struct bytes known[ACCESSLOG_OTHERS]; /* parameters, by their numbers */
};

/* -- Texts -- */

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

/* Writes one character, escaped if need be. Nothing may follow a piece of an escape. */
static char *put_byte(struct writer *w, char *at, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[4] = {'\\', (char)c};
    ptrdiff_t len = 2;
    if (is_plain(c)) {
        text[0] = (char)c;
        len = 1;
    } else if (c == '\n' || c == '\t' || c == '\r') {
        text[1] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
    } else if (c != '"' && c != '\\') {
        text[1] = 'x';
        text[2] = hex[c >> 4];
        text[3] = hex[c & 15];
        len = 4;
    }
    if (w->end - at < len)
        w->end = at;
    if (at >= w->end)
        return at;
    memcpy(at, text, (size_t)len);
    return at + len;
}

/* Any text, by its bytes. */
RARE static char *put_bytes(struct writer *w, char *at, const char *text, size_t len)
{
    for (size_t i = 0; i < len && at < w->end; i++)
        at = put_byte(w, at, (unsigned char)text[i]);
    return at;
}

#define EACH(byte) ((uint64_t)(byte)*0x0101010101010101)

/* As is_plain, of eight characters at once. None below 0x80 carries over into the next
 * one in these sums; each high bit tells of one character. */
static inline bool are_plain(uint64_t x)
{
    uint64_t good = (x + EACH(0x60)) & ((x ^ EACH('"')) + EACH(0x7f)) &
                    ((x ^ EACH('\\')) + EACH(0x7f));
    return ((x | (x + EACH(1)) | ~good) & EACH(0x80)) == 0;
}

static inline bool copy_eight(char *to, const char *from)
{
    uint64_t x;
    memcpy(&x, from, sizeof x);
    memcpy(to, &x, sizeof x);
    return are_plain(x);
}

/* Some characters may be taken twice. */
static inline bool copy_four_to_seven(char *to, const char *from, size_t len)
{
    uint32_t x, y;
    memcpy(&x, from, sizeof x);
    memcpy(&y, from + len - sizeof y, sizeof y);
    memcpy(to, &x, sizeof x);
    memcpy(to + len - sizeof y, &y, sizeof y);
    return are_plain((uint64_t)x << 32 | y);
}

static inline bool copy_one_to_three(char *to, const char *from, size_t len)
{
    char first = from[0], middle = from[len / 2], last = from[len - 1];
    to[0] = first;
    to[len / 2] = middle;
    to[len - 1] = last;
    uint32_t x = (uint32_t)'-' << 24 | (uint32_t)(unsigned char)first << 16 |
                 (uint32_t)(unsigned char)middle << 8 | (unsigned char)last;
    return are_plain((uint64_t)x << 32 | x);
}

static inline bool copy_eight_to_sixteen(char *to, const char *from, size_t len)
{
    bool plain = copy_eight(to, from);
    return copy_eight(to + len - 8, from + len - 8) && plain;
}

/* Sixteen at once, as the compiler makes it of what the machine has. */
typedef uint8_t sixteen __attribute__((vector_size(16)));

#define ALL(byte)                                                                        \
    ((sixteen){byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte, byte,   \
               byte, byte, byte, byte})

static inline bool copy_sixteen(char *to, const char *from)
{
    sixteen x;
    uint64_t good[2];
    memcpy(&x, from, sizeof x);
    memcpy(to, &x, sizeof x);
    sixteen plain =
        (sixteen)((x - ALL(0x20) < ALL(0x5f)) & (x != ALL('"')) & (x != ALL('\\')));
    memcpy(good, &plain, sizeof good);
    return (good[0] & good[1]) == UINT64_MAX;
}

/* The last sixteen may be taken together with some that are copied already. */
APART static char *put_many(struct writer *w, char *at, const char *text, size_t len)
{
    bool plain = (ptrdiff_t)len <= w->end - at;
    for (size_t i = 0; plain && i + 16 < len; i += 16)
        plain = copy_sixteen(at + i, text + i);
    if (plain && copy_sixteen(at + len - 16, text + len - 16))
        return at + len;
    return put_bytes(w, at, text, len);
}

/* Text that a client may have chosen; "-" when there is none. */
static char *put_value(struct writer *w, char *at, struct bytes v)
{
    bool plain = false;
    if (v.len == 0) {
        *at = '-';
        return at + 1;
    }
    if (v.len > 16)
        return put_many(w, at, v.data, v.len);
    if ((ptrdiff_t)v.len <= w->end - at)
        plain = v.len >= 8   ? copy_eight_to_sixteen(at, v.data, v.len)
                : v.len >= 4 ? copy_four_to_seven(at, v.data, v.len)
                             : copy_one_to_three(at, v.data, v.len);
    return plain ? at + v.len : put_bytes(w, at, v.data, v.len);
}

APART static char *put_number(char *at, uint64_t n)
{
    char digits[40]; /* 20 are copied, whatever there are */
    char *first = digits + 20;
    do
        *--first = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    memcpy(at, first, 20);
    return at + (digits + 20 - first);
}

/* -- Directives -- */

static struct bytes value_of(const struct writer *w, const struct accesslog_item *item)
{
    int number = item->name.number;
    return number < ACCESSLOG_OTHERS ? w->known[number]
                                     : w->entry->param(w->entry->of, &item->name);
}

/* The address as it was asked for; the script's where the web server does not say. */
static inline struct bytes uri(const struct writer *w)
{
    const struct bytes *v = &w->known[ACCESSLOG_URI];
    return v->len > 0 ? *v : w->known[ACCESSLOG_SCRIPT_NAME];
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The byte that begins at text[*i], which moves on to the next; %20 is one. */
static char decode(const char *text, size_t len, size_t *i)
{
    size_t at = *i;
    if (text[at] == '%' && len - at > 2) {
        int high = hex_digit(text[at + 1]), low = hex_digit(text[at + 2]);
        if (high >= 0 && low >= 0) {
            *i = at + 3;
            return (char)(high << 4 | low);
        }
    }
    *i = at + 1;
    return text[at];
}

/* Apache's is decoded. */
RARE static char *put_path(struct writer *w, char *at)
{
    struct bytes v = uri(w);
    const char *query = v.len == 0 ? NULL : memchr(v.data, '?', v.len);
    if (query != NULL)
        v.len = (size_t)(query - v.data);
    if (v.len == 0)
        *at++ = '-';
    for (size_t i = 0; i < v.len && at < w->end;)
        at = put_byte(w, at, (unsigned char)decode(v.data, v.len, &i));
    return at;
}

/* With its question mark, or nothing. */
static char *put_query(struct writer *w, char *at, struct bytes v)
{
    if (v.len == 0)
        return at;
    *at++ = '?';
    return put_value(w, at, v);
}

static inline char *put_request(struct writer *w, char *at)
{
    at = put_value(w, at, w->known[ACCESSLOG_METHOD]);
    *at++ = ' ';
    at = put_value(w, at, uri(w));
    *at++ = ' ';
    return put_value(w, at, w->known[ACCESSLOG_PROTOCOL]);
}

/* Three digits. */
static inline char *put_status(char *at, const char *status)
{
    memcpy(at, status, 3);
    return at + 3;
}

RARE static size_t time_text(char text[TIME_TEXT], time_t at)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    struct tm tm;
    if (localtime_r(&at, &tm) == NULL)
        memset(&tm, 0, sizeof tm);
    long zone = tm.tm_gmtoff / 60, minutes = zone < 0 ? -zone : zone;
    int len =
        snprintf(text, TIME_TEXT, "[%02d/%s/%d:%02d:%02d:%02d %c%02ld%02ld]", tm.tm_mday,
                 months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
                 tm.tm_sec, zone < 0 ? '-' : '+', minutes / 60, minutes % 60);
    return len < TIME_TEXT ? (size_t)len : TIME_TEXT - 1;
}

/* The C library's look at the local time zone takes a lock, and so is taken once a second
 * by each thread. */
static inline char *put_time(char *to, time_t at)
{
    static _Thread_local char text[TIME_TEXT];
    static _Thread_local size_t len;
    static _Thread_local time_t of = (time_t)-1;
    if (len == 0 || of != at) {
        of = at;
        len = time_text(text, at);
    }
    memcpy(to, text, TIME_TEXT);
    return to + len;
}

static char *put_script(struct writer *w, char *at)
{
    const char *script = w->entry->script;
    return put_value(w, at, (struct bytes){script, strlen(script)});
}

static inline char *put_item(struct writer *w, char *at,
                             const struct accesslog_item *item)
{
    const struct accessline_entry *e = w->entry;
    switch (item->code) {
    case ACCESSLOG_NOTHING:
        *at = '-';
        return at + 1;
    case ACCESSLOG_VALUE:
        return put_value(w, at, value_of(w, item));
    case ACCESSLOG_PATH:
        return put_path(w, at);
    case ACCESSLOG_QUERY:
        return put_query(w, at, value_of(w, item));
    case ACCESSLOG_REQUEST:
        return put_request(w, at);
    case ACCESSLOG_STATUS:
        return put_status(at, e->status);
    case ACCESSLOG_BYTES_OR_DASH:
        if (e->bytes > 0)
            return put_number(at, e->bytes);
        *at = '-';
        return at + 1;
    case ACCESSLOG_BYTES:
        return put_number(at, e->bytes);
    case ACCESSLOG_TIME:
        return put_time(at, e->at);
    case ACCESSLOG_DURATION:
        return put_number(at, (uint64_t)e->microseconds / item->unit);
    case ACCESSLOG_QUEUED:
        return put_number(at, e->queued);
    case ACCESSLOG_PEAK:
        return put_number(at, e->peak);
    case ACCESSLOG_PROCESS:
        return put_number(at, (uint64_t)e->process);
    case ACCESSLOG_WORKER:
        return put_number(at, (uint64_t)e->worker);
    case ACCESSLOG_SCRIPT:
        return put_script(w, at);
    case ACCESSLOG_ID:
        return put_value(w, at, e->id(e->of));
    case ACCESSLOG_FIELD:
        return put_value(w, at, e->field(e->of, item->name.text));
    case ACCESSLOG_TEXT:
    case ACCESSLOG_END:
        break;
    }
    return at;
}

/* -- The line -- */

/* A copy of a fixed size takes no call: what stands behind the text is overwritten. */
static inline char *put_items(struct writer *w, char *at, const struct accesslog_item *i)
{
    for (;; i++) {
        memcpy(at, i->text, sizeof i->text);
        at += i->len;
        if (i->code == ACCESSLOG_END || at >= w->end)
            return at < w->end ? at : w->end;
        at = put_item(w, at, i);
    }
}

bool accessline_write(const struct accesslog *f, const struct accessline_entry *entry,
                      struct buffer *out)
{
    out->len = 0;
    if (out->cap < ACCESSLINE_MAX + BEYOND &&
        !buffer_reserve(out, ACCESSLINE_MAX + BEYOND))
        return false;
    struct writer w;
    w.entry = entry;
    w.end = out->data + ACCESSLINE_MAX - 1;
    entry->known(entry->of, w.known);
    char *at = put_items(&w, out->data, f->items);
    *at++ = '\n';
    out->len = (size_t)(at - out->data);
    return true;
}
