/* Lines of an access log. A format is a list of items, each a text or a directive; a
 * directive is a row of the table below. Runs in the thread that has the request; what is
 * static is each thread's own. */
#include "http/accesslog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BEHIND = 16 }; /* bytes behind a text that may be copied with it */

struct item;

/* The line that is written. */
struct writer {
    const struct accesslog_entry *entry;
    char *at, *end;
};

typedef void (*writing)(struct writer *w, const struct item *item);

struct item {
    writing write;              /* NULL: the name's text as it is */
    struct accesslog_name name; /* the directive's argument, or parameter */
    int choice;                 /* of an argument that is one of several */
};

struct accesslog {
    char *text; /* what the items point into */
    size_t count;
    struct item items[];
};

struct directive {
    char letter;
    writing write;
    const char *param;   /* whose value it is */
    bool needs_name;     /* as %{Referer}i */
    const char *choices; /* or one of these, as %{ms}T: words, each ended by a NUL */
};

#define PROTOCOL ACCESSLOG_OTHERS

static const struct accesslog_name names[] = {
#define NAME(name, number) [number] = {#name, sizeof #name - 1, number}
    NAME(REQUEST_METHOD, ACCESSLOG_METHOD),   NAME(REQUEST_URI, ACCESSLOG_URI),
    NAME(SCRIPT_NAME, ACCESSLOG_SCRIPT_NAME), NAME(REMOTE_ADDR, ACCESSLOG_CLIENT),
    NAME(REMOTE_USER, ACCESSLOG_USER),        NAME(HTTP_USER_AGENT, ACCESSLOG_AGENT),
    NAME(SERVER_PROTOCOL, PROTOCOL),
#undef NAME
};

/* -- Texts -- */

static inline void put_char(struct writer *w, char c)
{
    if (w->at < w->end)
        *w->at++ = c;
}

static void put(struct writer *w, const char *text, size_t len)
{
    size_t room = (size_t)(w->end - w->at);
    if (len > room)
        len = room;
    memcpy(w->at, text, len);
    w->at += len;
}

/* A text of the format. Most are short, and a call costs more than copying what may
 * follow, too: there is room for that behind texts and line. */
static inline void put_constant(struct writer *w, const char *text, size_t len)
{
    if (len > BEHIND || len > (size_t)(w->end - w->at)) {
        put(w, text, len);
    } else {
        memcpy(w->at, text, BEHIND);
        w->at += len;
    }
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static void put_escaped(struct writer *w, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char text[4] = {'\\', (char)c};
    size_t len = 2;
    if (c == '\n' || c == '\t' || c == '\r') {
        text[1] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
    } else if (c != '"' && c != '\\') {
        text[1] = 'x';
        text[2] = hex[c >> 4];
        text[3] = hex[c & 15];
        len = 4;
    }
    if ((size_t)(w->end - w->at) >= len)
        put(w, text, len);
    else
        w->end = w->at; /* nothing may follow a piece of an escape */
}

#define EACH(byte) ((uint64_t)(byte)*0x0101010101010101)

/* The same of eight characters at once. None below 0x80 carries over into the next one in
 * these sums; each high bit tells of one character. */
static inline bool are_plain(uint64_t x)
{
    uint64_t good = (x + EACH(0x60)) & ((x ^ EACH('"')) + EACH(0x7f)) &
                    ((x ^ EACH('\\')) + EACH(0x7f));
    return ((x | (x + EACH(1)) | ~good) & EACH(0x80)) == 0;
}

/* Copies the next eight characters if they are plain. */
static inline bool copy_eight(char *to, const char *from)
{
    uint64_t x;
    memcpy(&x, from, sizeof x);
    if (!are_plain(x))
        return false;
    memcpy(to, &x, sizeof x);
    return true;
}

/* Copies the plain characters at the beginning. Returns how many these are. */
static size_t copy_plain(char *to, const char *from, size_t len)
{
    size_t i = 0;
    while (i + 8 <= len && copy_eight(to + i, from + i))
        i += 8;
    /* The last ones together with some that are copied already. */
    if (len > 8 && i + 8 > len && copy_eight(to + len - 8, from + len - 8))
        return len;
    for (; i < len && is_plain((unsigned char)from[i]); i++)
        to[i] = from[i];
    return i;
}

/* Text that a client may have chosen; "-" when there is none. */
static void put_value(struct writer *w, const char *text, size_t len)
{
    if (text == NULL || len == 0) {
        put_char(w, '-');
        return;
    }
    for (const char *end = text + len; text < end && w->at < w->end;) {
        size_t left = (size_t)(end - text), room = (size_t)(w->end - w->at);
        size_t plain = copy_plain(w->at, text, left < room ? left : room);
        w->at += plain;
        text += plain;
        if (text < end)
            put_escaped(w, (unsigned char)*text++);
    }
}

static void put_number(struct writer *w, uint64_t n)
{
    char digits[24], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + n % 10);
    while ((n /= 10) > 0);
    put(w, at, (size_t)(digits + sizeof digits - at));
}

static const char *param(struct writer *w, const struct accesslog_name *name, size_t *len)
{
    *len = 0;
    return w->entry->param(w->entry->of, name, len);
}

static void put_param(struct writer *w, const struct accesslog_name *name)
{
    size_t len;
    const char *value = param(w, name, &len);
    put_value(w, value, len);
}

/* -- Directives -- */

static void write_nothing(struct writer *w, const struct item *item)
{
    (void)item;
    put_char(w, '-');
}

static void write_param(struct writer *w, const struct item *item)
{
    put_param(w, &item->name);
}

/* The address as it was asked for; the script's where the web server does not say. */
static const char *uri(struct writer *w, size_t *len)
{
    const char *value = param(w, &names[ACCESSLOG_URI], len);
    return value != NULL && *len > 0 ? value
                                     : param(w, &names[ACCESSLOG_SCRIPT_NAME], len);
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
static void write_path(struct writer *w, const struct item *item)
{
    (void)item;
    size_t len;
    const char *value = uri(w, &len);
    const char *query = value == NULL ? NULL : memchr(value, '?', len);
    if (query != NULL)
        len = (size_t)(query - value);
    if (value == NULL || len == 0)
        put_value(w, NULL, 0);
    for (size_t i = 0; value != NULL && i < len;) {
        char c = decode(value, len, &i);
        put_value(w, &c, 1);
    }
}

/* With its question mark, or nothing. */
static void write_query(struct writer *w, const struct item *item)
{
    size_t len;
    const char *value = param(w, &item->name, &len);
    if (value == NULL || len == 0)
        return;
    put_char(w, '?');
    put_value(w, value, len);
}

static void write_request(struct writer *w, const struct item *item)
{
    (void)item;
    size_t len;
    put_param(w, &names[ACCESSLOG_METHOD]);
    put_char(w, ' ');
    const char *value = uri(w, &len);
    put_value(w, value, len);
    put_char(w, ' ');
    put_param(w, &names[PROTOCOL]);
}

/* Three digits. */
static void write_status(struct writer *w, const struct item *item)
{
    (void)item;
    for (const char *c = w->entry->status; *c > ' '; c++)
        put_char(w, *c);
}

static void write_bytes(struct writer *w, const struct item *item)
{
    (void)item;
    put_number(w, w->entry->bytes);
}

static void write_bytes_or_dash(struct writer *w, const struct item *item)
{
    if (w->entry->bytes == 0)
        put_char(w, '-');
    else
        write_bytes(w, item);
}

/* The C library's look at the local time zone takes a lock, and so is taken once a second
 * by each thread. */
static void write_time(struct writer *w, const struct item *item)
{
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    static _Thread_local char text[64];
    static _Thread_local int len;
    static _Thread_local time_t of = (time_t)-1;
    (void)item;
    if (len == 0 || of != w->entry->at) {
        struct tm tm;
        of = w->entry->at;
        if (localtime_r(&of, &tm) == NULL)
            memset(&tm, 0, sizeof tm);
        long zone = tm.tm_gmtoff / 60, minutes = zone < 0 ? -zone : zone;
        len = snprintf(text, sizeof text, "[%02d/%s/%d:%02d:%02d:%02d %c%02ld%02ld]",
                       tm.tm_mday, months[tm.tm_mon % 12], tm.tm_year + 1900, tm.tm_hour,
                       tm.tm_min, tm.tm_sec, zone < 0 ? '-' : '+', minutes / 60,
                       minutes % 60);
    }
    put(w, text, (size_t)len);
}

static void write_microseconds(struct writer *w, const struct item *item)
{
    (void)item;
    put_number(w, (uint64_t)w->entry->microseconds);
}

static void write_duration(struct writer *w, const struct item *item)
{
    static const uint32_t units[] = {1000000, 1000000, 1000, 1}; /* as TIME_CHOICES */
    put_number(w, (uint64_t)w->entry->microseconds / units[item->choice]);
}

static void write_queued(struct writer *w, const struct item *item)
{
    (void)item;
    put_number(w, w->entry->queued);
}

static void write_peak(struct writer *w, const struct item *item)
{
    (void)item;
    put_number(w, w->entry->peak);
}

static void write_process(struct writer *w, const struct item *item)
{
    put_number(w, (uint64_t)(item->choice == 2 ? w->entry->worker : w->entry->process));
}

static void write_script(struct writer *w, const struct item *item)
{
    (void)item;
    put_value(w, w->entry->script, strlen(w->entry->script));
}

static void write_id(struct writer *w, const struct item *item)
{
    (void)item;
    const char *id = w->entry->id(w->entry->of);
    put_value(w, id, strlen(id));
}

static void write_field(struct writer *w, const struct item *item)
{
    size_t len = 0;
    const char *value = w->entry->field(w->entry->of, item->name.text, &len);
    put_value(w, value, len);
}

#define TIME_CHOICES    "s\0ms\0us\0"
#define PROCESS_CHOICES "pid\0tid\0"

static const struct directive directives[] = {
    {.letter = 'h', .write = write_param, .param = "REMOTE_ADDR"},
    {.letter = 'a', .write = write_param, .param = "REMOTE_ADDR"},
    {.letter = 'A', .write = write_param, .param = "SERVER_ADDR"},
    {.letter = 'l', .write = write_nothing}, /* %>l; the usual one is text */
    {.letter = 'u', .write = write_param, .param = "REMOTE_USER"},
    {.letter = 't', .write = write_time},
    {.letter = 'r', .write = write_request},
    {.letter = 'm', .write = write_param, .param = "REQUEST_METHOD"},
    {.letter = 'U', .write = write_path},
    {.letter = 'q', .write = write_query, .param = "QUERY_STRING"},
    {.letter = 'H', .write = write_param, .param = "SERVER_PROTOCOL"},
    {.letter = 'v', .write = write_param, .param = "SERVER_NAME"},
    {.letter = 'p', .write = write_param, .param = "SERVER_PORT"},
    {.letter = 's', .write = write_status},
    {.letter = 'b', .write = write_bytes_or_dash},
    {.letter = 'B', .write = write_bytes},
    {.letter = 'D', .write = write_microseconds},
    {.letter = 'T', .write = write_duration, .choices = TIME_CHOICES},
    {.letter = 'i', .write = write_param, .needs_name = true},
    {.letter = 'o', .write = write_field, .needs_name = true},
    {.letter = 'e', .write = write_param, .needs_name = true},
    {.letter = 'P', .write = write_process, .choices = PROCESS_CHOICES},
    {.letter = 'R', .write = write_script},
    {.letter = 'f', .write = write_script},
    {.letter = 'L', .write = write_id},
    {.letter = 'M', .write = write_peak},
    {.letter = 'Q', .write = write_queued},
};

/* -- Compiling -- */

static const struct directive *find(char letter)
{
    for (size_t i = 0; i < sizeof directives / sizeof *directives; i++)
        if (directives[i].letter == letter && letter != '\0')
            return &directives[i];
    return NULL;
}

/* The number of a word among the choices, from 1; 0: it is none. */
static int choice_of(const char *choices, const char *word)
{
    int number = 1;
    for (const char *c = choices; c != NULL && *c != '\0'; c += strlen(c) + 1, number++)
        if (strcmp(c, word) == 0)
            return number;
    return 0;
}

/* A header's name becomes that of its parameter, in place; `text` has five bytes more
 * before it. */
static char *param_of_header(char *text)
{
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? (char)(*c - 32) : *c;
    if (strcmp(text, "CONTENT_TYPE") == 0 || strcmp(text, "CONTENT_LENGTH") == 0)
        return text;
    return memcpy(text - 5, "HTTP_", 5);
}

/* `number` counts those that have none of their own. */
static struct accesslog_name name_of(const char *text, int *number)
{
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i].text, text) == 0)
            return names[i];
    if (*number < ACCESSLOG_NUMBERS - 1)
        ++*number;
    return (struct accesslog_name){text, strlen(text), *number};
}

static bool takes_argument(const struct directive *d, char *name, struct item *item,
                           int *number)
{
    item->choice = name == NULL ? 0 : choice_of(d->choices, name);
    if (d->needs_name ? name == NULL || name[0] == '\0'
                      : name != NULL && item->choice == 0)
        return false;
    /* "User-Agent" is the parameter HTTP_USER_AGENT (RFC 3875 section 4.1.18); two have
     * parameters of their own. */
    const char *text = d->param != NULL   ? d->param
                       : name == NULL     ? ""
                       : d->letter == 'i' ? param_of_header(name)
                                          : name;
    item->name = name_of(text, number);
    item->write =
        d->letter == 'e' && strcmp(text, "REQUEST_ID") == 0 ? write_id : d->write;
    return true;
}

/* Reads the directive at `at`, which is behind its percent sign; `*out` is memory for its
 * argument. Returns where it ends; NULL: there is no such directive. */
static const char *read_directive(const char *at, char **out, struct item *item,
                                  int *number)
{
    char *name = NULL;
    if (*at == '<' || *at == '>')
        at++;
    if (*at == '{') {
        size_t len = strcspn(at + 1, "}");
        if (at[1 + len] == '\0')
            return NULL;
        name = *out + 5;
        memcpy(name, at + 1, len);
        name[len] = '\0';
        *out = name + len + 1;
        at += len + 2;
    }
    const struct directive *d = find(*at);
    if (d == NULL || !takes_argument(d, name, item, number))
        return NULL;
    return at + 1;
}

/* "%%" is a percent sign, and %l a dash for every request. */
static bool is_text(const char *at)
{
    return *at != '\0' && (*at != '%' || at[1] == '%' || at[1] == 'l');
}

/* The text up to the next directive. */
static const char *read_text(const char *at, char **out, struct item *item)
{
    item->name.text = *out;
    for (; is_text(at); at++) {
        bool dash = *at == '%' && at[1] == 'l';
        at += *at == '%';
        *(*out)++ = dash ? '-' : *at;
    }
    item->name.len = (size_t)(*out - item->name.text);
    return at;
}

static void name_wrong(const char *at, char *wrong, size_t size)
{
    size_t len = 1 + strspn(at + 1, "<>");
    if (at[len] == '{')
        len += strcspn(at + len, "}") + (strchr(at + len, '}') != NULL);
    len += at[len] != '\0';
    snprintf(wrong, size, "%.*s is no directive", len < 60 ? (int)len : 60, at);
}

#define COMMON   "%h %l %u %t \"%r\" %>s %b"
#define COMBINED COMMON " \"%{Referer}i\" \"%{User-Agent}i\""

static const char *format_named(const char *name)
{
    static const char *const formats[][2] = {
        {"common", COMMON},
        {"combined", COMBINED},
        {"timed", COMBINED " %D %L"},
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++)
        if (strcmp(formats[i][0], name) == 0)
            return formats[i][1];
    return name;
}

struct accesslog *accesslog_compile(const char *format, char *wrong, size_t size)
{
    format = format_named(format);
    size_t len = strlen(format);
    struct accesslog *f = calloc(1, sizeof *f + (len + 1) * sizeof f->items[0]);
    if (f == NULL || (f->text = calloc(1, 6 * len + 1 + BEHIND)) == NULL) {
        snprintf(wrong, size, "out of memory");
        free(f);
        return NULL;
    }
    char *out = f->text;
    int number = PROTOCOL;
    for (const char *at = format; *at != '\0';) {
        struct item *item = &f->items[f->count++];
        const char *next = is_text(at) ? read_text(at, &out, item)
                                       : read_directive(at + 1, &out, item, &number);
        if (next == NULL) {
            name_wrong(at, wrong, size);
            accesslog_free(f);
            return NULL;
        }
        at = next;
    }
    return f;
}

void accesslog_free(struct accesslog *f)
{
    if (f == NULL)
        return;
    free(f->text);
    free(f);
}

/* -- Writing -- */

bool accesslog_write(const struct accesslog *f, const struct accesslog_entry *entry,
                     struct buffer *out)
{
    out->len = 0;
    if (!buffer_reserve(out, ACCESSLOG_LINE_MAX + BEHIND))
        return false;
    struct writer w = {entry, out->data, out->data + ACCESSLOG_LINE_MAX - 1};
    for (const struct item *i = f->items; i < f->items + f->count; i++)
        if (i->write == NULL)
            put_constant(&w, i->name.text, i->name.len);
        else
            i->write(&w, i);
    *w.at++ = '\n';
    out->len = (size_t)(w.at - out->data);
    return true;
}
