/* Matching patterns. Runs in the thread that owns the state. Owns nothing: a search is in
 * the caller's struct pattern.
 *
 * A pattern is a row of items: a single character or class, which `*`, `+`, `-` or `?`
 * may follow, a capture, `%b`, `%f` or a back reference. match() goes from item to item,
 * and calls itself where it may have to come back and try again. */
#include "lua/pattern.h"

#include <ctype.h>
#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

enum {
    DEPTH_MAX = 200,      /* as in Lua */
    STEPS_OF_LOOK = 4096, /* between two looks at the limits: some 20 microseconds */
};

/* Lengths of captures that are no text. */
enum { OPEN = -1, POSITION = -2 };

static const char *match(struct pattern *m, const char *s, const char *p);

void pattern_begin(struct pattern *m, lua_State *L, guard_look look, const char *subject,
                   size_t subject_len, const char *pattern, size_t pattern_len)
{
    m->L = L;
    m->look = look;
    m->subject = subject;
    m->subject_end = subject + subject_len;
    m->end = pattern + pattern_len;
    m->steps = 0;
}

static void step(struct pattern *m)
{
    if (++m->steps % STEPS_OF_LOOK == 0)
        m->look(m->L);
}

/* -- Single characters -- */

/* Whether `c` is of the class that the letter names. A capital means all others, and any
 * other character itself. */
static bool is_of_class(int c, int letter)
{
    bool is;
    switch (tolower(letter)) {
    case 'a':
        is = isalpha(c);
        break;
    case 'c':
        is = iscntrl(c);
        break;
    case 'd':
        is = isdigit(c);
        break;
    case 'g':
        is = isgraph(c);
        break;
    case 'l':
        is = islower(c);
        break;
    case 'p':
        is = ispunct(c);
        break;
    case 's':
        is = isspace(c);
        break;
    case 'u':
        is = isupper(c);
        break;
    case 'w':
        is = isalnum(c);
        break;
    case 'x':
        is = isxdigit(c);
        break;
    case 'z': /* of Lua 5.1, and still there */
        is = c == 0;
        break;
    default:
        return letter == c;
    }
    return isupper(letter) ? !is : is;
}

/* Where the single character, class or set at `p` ends. */
static const char *end_of_single(const struct pattern *m, const char *p)
{
    if (*p == '%') {
        if (p + 1 == m->end)
            luaL_error(m->L, "malformed pattern (ends with '%%')");
        return p + 2;
    }
    if (*p != '[')
        return p + 1;
    p += p[1] == '^' ? 2 : 1;
    bool first = true; /* a bracket there is a member of the set */
    for (; p < m->end && (first || *p != ']'); first = false)
        p += *p == '%' && p + 1 < m->end ? 2 : 1;
    if (p >= m->end)
        luaL_error(m->L, "malformed pattern (missing ']')");
    return p + 1;
}

/* Whether `c` is in the set from the bracket `p` to the bracket `last`. */
static bool is_in_set(int c, const char *p, const char *last)
{
    bool in = p[1] != '^';
    for (p += in ? 1 : 2; p < last; p++) {
        if (*p == '%') {
            p++;
            if (is_of_class(c, (unsigned char)*p))
                return in;
        } else if (p[1] == '-' && p + 2 < last) {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return in;
            p += 2;
        } else if ((unsigned char)*p == c) {
            return in;
        }
    }
    return !in;
}

/* Whether the character at `s` is what stands from `p` to `end`. */
static bool is_single(const struct pattern *m, const char *s, const char *p,
                      const char *end)
{
    if (s >= m->subject_end)
        return false;
    int c = (unsigned char)*s;
    switch (*p) {
    case '.':
        return true;
    case '%':
        return is_of_class(c, (unsigned char)p[1]);
    case '[':
        return is_in_set(c, p, end - 1);
    default:
        return (unsigned char)*p == c;
    }
}

/* -- Repetitions of the single from `p` to `end`, and what follows them -- */

/* As many as possible. */
static const char *match_most(struct pattern *m, const char *s, const char *p,
                              const char *end)
{
    const char *last = s;
    for (; is_single(m, last, p, end); last++)
        step(m);
    for (; last >= s; last--) {
        const char *e = match(m, last, end + 1);
        if (e != NULL)
            return e;
    }
    return NULL;
}

/* As few as possible. */
static const char *match_fewest(struct pattern *m, const char *s, const char *p,
                                const char *end)
{
    for (;; s++) {
        const char *e = match(m, s, end + 1);
        if (e != NULL || !is_single(m, s, p, end))
            return e;
    }
}

/* -- Captures -- */

static const char *open_capture(struct pattern *m, const char *s, const char *p,
                                ptrdiff_t kind)
{
    if (m->count >= PATTERN_CAPTURES_MAX)
        luaL_error(m->L, "too many captures");
    m->captures[m->count++] = (struct pattern_capture){s, kind};
    const char *e = match(m, s, p);
    if (e == NULL)
        m->count--;
    return e;
}

static const char *close_capture(struct pattern *m, const char *s, const char *p)
{
    int n = m->count - 1;
    while (n >= 0 && m->captures[n].len != OPEN)
        n--;
    if (n < 0)
        luaL_error(m->L, "invalid pattern capture");
    m->captures[n].len = s - m->captures[n].at;
    const char *e = match(m, s, p);
    if (e == NULL)
        m->captures[n].len = OPEN;
    return e;
}

/* The text of an earlier capture again. */
static const char *match_again(struct pattern *m, const char *s, int digit)
{
    int n = digit - '1';
    if (n < 0 || n >= m->count || m->captures[n].len == OPEN)
        luaL_error(m->L, "invalid capture index %%%d", n + 1);
    ptrdiff_t len = m->captures[n].len;
    m->steps += (unsigned)(len > 0 ? len / 16 : 0);
    bool same = len >= 0 && m->subject_end - s >= len &&
                memcmp(m->captures[n].at, s, (size_t)len) == 0;
    return same ? s + len : NULL;
}

/* -- %b and %f, at `p` -- */

static const char *match_balance(struct pattern *m, const char *s, const char *p)
{
    if (m->end - p < 4)
        luaL_error(m->L, "malformed pattern (missing arguments to '%%b')");
    if (s >= m->subject_end || *s != p[2])
        return NULL;
    int depth = 1;
    while (++s < m->subject_end) {
        step(m);
        if (*s == p[3]) {
            if (--depth == 0)
                return s + 1;
        } else if (*s == p[2]) {
            depth++;
        }
    }
    return NULL;
}

/* Whether the set begins to hold at `s`. What is before and behind the subject counts as
 * the character 0. `*end` becomes the end of the set. */
static bool is_frontier(const struct pattern *m, const char *s, const char *p,
                        const char **end)
{
    p += 2;
    if (*p != '[')
        luaL_error(m->L, "missing '[' after '%%f' in pattern");
    *end = end_of_single(m, p);
    int before = s == m->subject ? 0 : (unsigned char)s[-1];
    int here = s == m->subject_end ? 0 : (unsigned char)*s;
    return !is_in_set(before, p, *end - 1) && is_in_set(here, p, *end - 1);
}

/* -- Items -- */

/* Matches the single at `*p`, with what follows it. true: that was no more than itself,
 * and the caller goes on at `*p`. Else `*s` is the end of the whole match, or NULL. */
static bool match_single(struct pattern *m, const char **s, const char **p)
{
    const char *end = end_of_single(m, *p), *e;
    switch (end < m->end ? *end : '\0') {
    case '?':
        if (is_single(m, *s, *p, end) && (e = match(m, *s + 1, end + 1)) != NULL) {
            *s = e;
            return false;
        }
        *p = end + 1;
        return true;
    case '+':
        *s = is_single(m, *s, *p, end) ? match_most(m, *s + 1, *p, end) : NULL;
        return false;
    case '*':
        *s = match_most(m, *s, *p, end);
        return false;
    case '-':
        *s = match_fewest(m, *s, *p, end);
        return false;
    default:
        *s = is_single(m, *s, *p, end) ? *s + 1 : NULL;
        *p = end;
        return *s != NULL;
    }
}

/* The same for an item that begins with `%`. */
static bool match_escape(struct pattern *m, const char **s, const char **p)
{
    const char *end;
    switch ((*p)[1]) {
    case 'b':
        *s = match_balance(m, *s, *p);
        *p += 4;
        return *s != NULL;
    case 'f':
        if (!is_frontier(m, *s, *p, &end))
            *s = NULL;
        *p = end;
        return *s != NULL;
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        *s = match_again(m, *s, (unsigned char)(*p)[1]);
        *p += 2;
        return *s != NULL;
    default:
        return match_single(m, s, p);
    }
}

static bool match_item(struct pattern *m, const char **s, const char **p)
{
    switch (**p) {
    case '(':
        *s = (*p)[1] == ')' ? open_capture(m, *s, *p + 2, POSITION)
                            : open_capture(m, *s, *p + 1, OPEN);
        return false;
    case ')':
        *s = close_capture(m, *s, *p + 1);
        return false;
    case '%':
        return match_escape(m, s, p);
    case '$':
        if (*p + 1 == m->end) {
            *s = *s == m->subject_end ? *s : NULL;
            return false;
        }
        return match_single(m, s, p);
    default:
        return match_single(m, s, p);
    }
}

static const char *match(struct pattern *m, const char *s, const char *p)
{
    if (m->depth++ == DEPTH_MAX)
        luaL_error(m->L, "pattern too complex");
    step(m);
    while (p != m->end && match_item(m, &s, &p))
        ;
    m->depth--;
    return s;
}

const char *pattern_match(struct pattern *m, const char *s, const char *p)
{
    m->depth = m->count = 0;
    return match(m, s, p);
}

/* -- What was captured -- */

void pattern_push_capture(struct pattern *m, int n, const char *s, const char *e)
{
    if (n >= m->count && n != 0)
        luaL_error(m->L, "invalid capture index %%%d", n + 1);
    if (n >= m->count) {
        lua_pushlstring(m->L, s, (size_t)(e - s));
        return;
    }
    const struct pattern_capture *c = &m->captures[n];
    if (c->len == OPEN)
        luaL_error(m->L, "unfinished capture");
    if (c->len == POSITION)
        lua_pushinteger(m->L, c->at - m->subject + 1);
    else
        lua_pushlstring(m->L, c->at, (size_t)c->len);
}

int pattern_push_captures(struct pattern *m, const char *s, const char *e)
{
    int count = m->count == 0 && s != NULL ? 1 : m->count;
    luaL_checkstack(m->L, count, "too many captures");
    for (int i = 0; i < count; i++)
        pattern_push_capture(m, i, s, e);
    return count;
}
