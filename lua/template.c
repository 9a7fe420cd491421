/* Templates, turned into Lua. Runs in the thread that owns the state; keeps nothing.
 *
 * Errors have the template's own lines because every line end of the template is one of
 * the code, too: in a literal as a backslash before a line end. Where the code needs one
 * more, behind a comment, the next in a literal is written as \n instead. */
#include "lua/template.h"

#include "base/ascii.h"
#include "lua/limit.h"

#include <stdbool.h>
#include <string.h>

#define PIECE_BYTES 4096 /* between two looks at the limit */
#define HEAD        "local _ENV,__e,__r,include=...;"

struct translation {
    lua_State *L;
    struct buffer *out;
    int surplus; /* line ends that the code has had too many */
    const char *literal;
    size_t literal_len; /* text that is not written yet */
};

static void put(struct translation *t, const char *s, size_t len)
{
    limit_check_memory(t->L, buffer_append(t->out, s, len));
}

static void puts_code(struct translation *t, const char *s)
{
    put(t, s, strlen(s));
}

/* What stands for a character in a literal; NULL: it stands for itself. */
static const char *in_literal(struct translation *t, char c)
{
    switch (c) {
    case '"':
        return "\\\"";
    case '\\':
        return "\\\\";
    case '\r':
        return "\\r";
    case '\0':
        return "\\000";
    case '\n':
        if (t->surplus == 0)
            return "\\\n";
        t->surplus--;
        return "\\n";
    default:
        return NULL;
    }
}

/* Writes the text since the last tag as a literal. */
static void put_literal(struct translation *t)
{
    const char *s = t->literal;
    size_t done = 0, look = PIECE_BYTES;
    puts_code(t, "\"");
    for (size_t i = 0; i < t->literal_len; i++) {
        const char *written = in_literal(t, s[i]);
        if (i == look) {
            limit_check(t->L);
            look += PIECE_BYTES;
        }
        if (written == NULL)
            continue;
        put(t, s + done, i - done);
        puts_code(t, written);
        done = i + 1;
    }
    put(t, s + done, t->literal_len - done);
    puts_code(t, "\"");
    t->literal_len = 0;
}

static void flush_literal(struct translation *t)
{
    if (t->literal_len == 0)
        return;
    puts_code(t, ";__r(");
    put_literal(t);
    puts_code(t, ");");
}

/* A comment at the end of the code must not swallow what comes behind. */
static void put_code(struct translation *t, const char *s, size_t len)
{
    const char *line = memrchr(s, '\n', len);
    line = line == NULL ? s : line;
    put(t, s, len);
    if (memmem(line, len - (size_t)(line - s), "--", 2) != NULL) {
        puts_code(t, "\n");
        t->surplus++;
    } else {
        puts_code(t, " ");
    }
}

static bool is_include(const char *s, size_t len)
{
    while (len > 0 && (*s == ' ' || *s == '\t' || *s == '\n' || *s == '\r')) {
        s++;
        len--;
    }
    return len > 7 && memcmp(s, "include", 7) == 0 && !ascii_is_alnum(s[7]) &&
           s[7] != '_';
}

/* `kind` is the character behind "<%". What include puts in is put in as it is, in all
 * kinds of tags. */
static void put_tag(struct translation *t, char kind, const char *s, size_t len)
{
    if (kind == '#') {
        for (size_t i = 0; i < len; i++)
            if (s[i] == '\n')
                puts_code(t, "\n");
    } else if (kind == ' ' || is_include(s, len)) {
        flush_literal(t);
        put_code(t, s, len);
        puts_code(t, ";"); /* so that a mistake is found on this line */
    } else {
        puts_code(t, kind == '=' ? ";__e(" : ";__r(");
        put_literal(t);
        puts_code(t, ",(");
        put_code(t, s, len);
        puts_code(t, "));");
    }
}

static int line_of(const char *text, const char *place)
{
    int line = 1;
    for (const char *s = text; s < place; s++)
        line += *s == '\n';
    return line;
}

/* Drops the line end at `s`, which the code keeps. Returns where the text goes on. */
static const char *drop_line_end(struct translation *t, const char *s, const char *end)
{
    const char *line_end = s < end && *s == '\r' ? s + 1 : s;
    if (line_end == end || *line_end != '\n')
        return s;
    if (t->surplus > 0)
        t->surplus--;
    else
        puts_code(t, "\n");
    return line_end + 1;
}

/* `s` is behind "<%". Returns where the text goes on; NULL: the tag has no end. */
static const char *take_tag(struct translation *t, const char *s, const char *end)
{
    char kind = s < end && strchr("=-#", *s) != NULL && *s != '\0' ? *s : ' ';
    s += kind != ' ';
    const char *close = memmem(s, (size_t)(end - s), "%>", 2);
    if (close == NULL)
        return NULL;
    if (kind == '#')
        flush_literal(t);
    put_tag(t, kind, s, (size_t)(close - s));
    s = close + 2;
    return kind == ' ' || kind == '#' ? drop_line_end(t, s, end) : s;
}

int template_translate(lua_State *L, const char *text, size_t len, struct buffer *out)
{
    struct translation t = {.L = L, .out = out};
    const char *end = text + len, *s = text;
    puts_code(&t, HEAD);
    while (s < end) {
        limit_check(L);
        const char *tag = memmem(s, (size_t)(end - s), "<%", 2);
        bool escaped = tag != NULL && tag + 2 < end && tag[2] == '%';
        t.literal = s;
        t.literal_len = (size_t)((tag == NULL ? end : tag + 2 * escaped) - s);
        if (tag == NULL || escaped) {
            flush_literal(&t);
            s = tag == NULL ? end : tag + 3;
            continue;
        }
        s = take_tag(&t, tag + 2, end);
        if (s == NULL)
            return line_of(text, tag);
    }
    return 0;
}
