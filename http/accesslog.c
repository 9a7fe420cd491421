/* The format of an access log: directives are compiled to a list of items. Runs in the
 * thread that loads the configuration; no state. */
#include "http/accesslog.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct directive {
    char letter;
    enum accesslog_code code;
    const char *param;            /* whose value it is */
    unsigned unit;                /* microseconds, of a duration */
    bool needs_name;              /* as %{Referer}i */
    const struct choice *choices; /* or one of these, as %{ms}T */
};

struct choice {
    const char *word; /* NULL: no more */
    enum accesslog_code code;
    unsigned unit;
};

static const struct choice times[] = {{"s", ACCESSLOG_DURATION, 1000000},
                                      {"ms", ACCESSLOG_DURATION, 1000},
                                      {"us", ACCESSLOG_DURATION, 1},
                                      {NULL, ACCESSLOG_END, 0}};
static const struct choice processes[] = {{"pid", ACCESSLOG_PROCESS, 0},
                                          {"tid", ACCESSLOG_WORKER, 0},
                                          {NULL, ACCESSLOG_END, 0}};

/* -- Directives -- */

static const struct accesslog_name known[ACCESSLOG_OTHERS] = {
#define NAME(name, number) [number] = {#name, sizeof #name - 1, number}
    NAME(REQUEST_METHOD, ACCESSLOG_METHOD),   NAME(REQUEST_URI, ACCESSLOG_URI),
    NAME(SCRIPT_NAME, ACCESSLOG_SCRIPT_NAME), NAME(REMOTE_ADDR, ACCESSLOG_CLIENT),
    NAME(REMOTE_USER, ACCESSLOG_USER),        NAME(SERVER_PROTOCOL, ACCESSLOG_PROTOCOL),
    NAME(HTTP_REFERER, ACCESSLOG_REFERER),    NAME(HTTP_USER_AGENT, ACCESSLOG_AGENT),
#undef NAME
};

static const struct directive directives[] = {
    {.letter = 'h', .code = ACCESSLOG_VALUE, .param = "REMOTE_ADDR"},
    {.letter = 'a', .code = ACCESSLOG_VALUE, .param = "REMOTE_ADDR"},
    {.letter = 'A', .code = ACCESSLOG_VALUE, .param = "SERVER_ADDR"},
    {.letter = 'l', .code = ACCESSLOG_NOTHING}, /* %>l; the usual one is text */
    {.letter = 'u', .code = ACCESSLOG_VALUE, .param = "REMOTE_USER"},
    {.letter = 't', .code = ACCESSLOG_TIME},
    {.letter = 'r', .code = ACCESSLOG_REQUEST},
    {.letter = 'm', .code = ACCESSLOG_VALUE, .param = "REQUEST_METHOD"},
    {.letter = 'U', .code = ACCESSLOG_PATH},
    {.letter = 'q', .code = ACCESSLOG_QUERY, .param = "QUERY_STRING"},
    {.letter = 'H', .code = ACCESSLOG_VALUE, .param = "SERVER_PROTOCOL"},
    {.letter = 'v', .code = ACCESSLOG_VALUE, .param = "SERVER_NAME"},
    {.letter = 'p', .code = ACCESSLOG_VALUE, .param = "SERVER_PORT"},
    {.letter = 's', .code = ACCESSLOG_STATUS},
    {.letter = 'b', .code = ACCESSLOG_BYTES_OR_DASH},
    {.letter = 'B', .code = ACCESSLOG_BYTES},
    {.letter = 'D', .code = ACCESSLOG_DURATION, .unit = 1},
    {.letter = 'T', .code = ACCESSLOG_DURATION, .choices = times},
    {.letter = 'i', .code = ACCESSLOG_VALUE, .needs_name = true},
    {.letter = 'o', .code = ACCESSLOG_FIELD, .needs_name = true},
    {.letter = 'e', .code = ACCESSLOG_VALUE, .needs_name = true},
    {.letter = 'P', .code = ACCESSLOG_PROCESS, .choices = processes},
    {.letter = 'R', .code = ACCESSLOG_SCRIPT},
    {.letter = 'f', .code = ACCESSLOG_SCRIPT},
    {.letter = 'L', .code = ACCESSLOG_ID},
    {.letter = 'M', .code = ACCESSLOG_PEAK},
    {.letter = 'Q', .code = ACCESSLOG_QUEUED},
};

static const struct directive *find(char letter)
{
    for (size_t i = 0; i < sizeof directives / sizeof *directives; i++)
        if (directives[i].letter == letter && letter != '\0')
            return &directives[i];
    return NULL;
}

/* -- Names -- */

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

static struct accesslog_name name_of(struct accesslog *f, const char *text)
{
    for (size_t i = 0; i < f->name_count; i++)
        if (strcmp(f->names[i].text, text) == 0)
            return f->names[i];
    struct accesslog_name name = {text, strlen(text), (int)f->name_count};
    if (f->name_count < ACCESSLOG_SHARED)
        f->names[f->name_count++] = name;
    return name;
}

/* -- Reading -- */

/* The first choice is that of a directive without any. false: the word is none. */
static bool choose(const struct choice *choices, const char *word,
                   struct accesslog_item *item)
{
    const struct choice *c = choices;
    while (word != NULL && c->word != NULL && strcmp(c->word, word) != 0)
        c++;
    item->code = c->code;
    item->unit = c->unit;
    return c->word != NULL;
}

static bool takes_argument(struct accesslog *f, const struct directive *d, char *name,
                           struct accesslog_item *item)
{
    if (d->choices != NULL)
        return choose(d->choices, name, item);
    item->code = d->code;
    item->unit = d->unit;
    if (d->needs_name ? name == NULL || name[0] == '\0' : name != NULL)
        return false;
    /* "User-Agent" is the parameter HTTP_USER_AGENT (RFC 3875 section 4.1.18); two have
     * parameters of their own. */
    const char *text = d->letter == 'i' ? param_of_header(name)
                       : d->needs_name  ? name
                                        : d->param;
    if (d->letter == 'e' && strcmp(text, "REQUEST_ID") == 0)
        item->code = ACCESSLOG_ID;
    if (item->code == ACCESSLOG_FIELD)
        item->name.text = text;
    else if (text != NULL)
        item->name = name_of(f, text);
    return true;
}

/* Reads the directive at `at`, which is behind its percent sign; `*out` is memory for its
 * argument. Returns where it ends; NULL: there is no such directive. */
static const char *read_directive(struct accesslog *f, const char *at, char **out,
                                  struct accesslog_item *item)
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
    if (d == NULL || !takes_argument(f, d, name, item))
        return NULL;
    return at + 1;
}

/* "%%" is a percent sign, and %l a dash for every request. */
static bool is_text(const char *at)
{
    return *at != '\0' && (*at != '%' || at[1] == '%' || at[1] == 'l');
}

/* The text up to the next directive. `*item` becomes the one that its end is in. */
static const char *read_text(const char *at, struct accesslog_item **item)
{
    for (; is_text(at); at++) {
        bool dash = *at == '%' && at[1] == 'l';
        at += *at == '%';
        if ((*item)->len == ACCESSLOG_TEXT_MAX)
            (*item)++->code = ACCESSLOG_TEXT;
        (*item)->text[(*item)->len++] = dash ? '-' : *at;
    }
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

/* -- Life -- */

/* Items for every character and the end of a format, and memory for their names. */
static struct accesslog *create(size_t len)
{
    struct accesslog *f = calloc(1, sizeof *f + (len + 1) * sizeof f->items[0]);
    if (f == NULL || (f->memory = calloc(1, 6 * len + 1)) == NULL) {
        free(f);
        return NULL;
    }
    memcpy(f->names, known, sizeof known);
    f->name_count = ACCESSLOG_OTHERS;
    return f;
}

struct accesslog *accesslog_compile(const char *format, char *wrong, size_t size)
{
    format = format_named(format);
    struct accesslog *f = create(strlen(format));
    if (f == NULL) {
        snprintf(wrong, size, "out of memory");
        return NULL;
    }
    char *out = f->memory;
    struct accesslog_item *item = f->items;
    for (const char *at = read_text(format, &item); *at != '\0';
         at = read_text(at, &item)) {
        const char *next = read_directive(f, at + 1, &out, item++);
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
    free(f->memory);
    free(f);
}
