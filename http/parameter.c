/* Reads parameters without copying them. Any thread; owns nothing. */
#include "http/parameter.h"

#include "base/ascii.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_space(struct parameters *ps)
{
    while (ps->at < ps->end && is_space(*ps->at))
        ps->at++;
}

struct parameters parameters_of(const char *value, size_t len, size_t *first_len)
{
    const char *semicolon = len == 0 ? NULL : memchr(value, ';', len);
    size_t first = semicolon == NULL ? len : (size_t)(semicolon - value);
    struct parameters ps = {.at = value + first, .end = value + len};
    while (first > 0 && is_space(value[first - 1]))
        first--;
    *first_len = first;
    return ps;
}

static bool is_escape(const char *s, const char *end)
{
    return s[0] == '\\' && end - s > 1 && (s[1] == '"' || s[1] == '\\');
}

/* Takes a value in quotes, whose first quote is at ps->at. */
static bool take_quoted(struct parameters *ps, struct parameter *p)
{
    const char *s = ps->at + 1;
    p->quoted = true;
    p->value = s;
    while (s < ps->end && *s != '"')
        s += is_escape(s, ps->end) ? 2 : 1;
    if (s >= ps->end)
        return false;
    p->value_len = (size_t)(s - p->value);
    ps->at = s + 1;
    return true;
}

static bool take_value(struct parameters *ps, struct parameter *p)
{
    if (ps->at < ps->end && *ps->at == '"')
        return take_quoted(ps, p);
    p->value = ps->at;
    while (ps->at < ps->end && *ps->at != ';')
        ps->at++;
    const char *end = ps->at;
    while (end > p->value && is_space(end[-1]))
        end--;
    p->value_len = (size_t)(end - p->value);
    return true;
}

static bool take_name(struct parameters *ps, struct parameter *p)
{
    p->name = ps->at;
    while (ps->at < ps->end && ascii_is_token(*ps->at))
        ps->at++;
    p->name_len = (size_t)(ps->at - p->name);
    skip_space(ps);
    return p->name_len > 0 && ps->at < ps->end && *ps->at == '=';
}

static bool take(struct parameters *ps, struct parameter *p)
{
    *p = (struct parameter){0};
    if (*ps->at != ';')
        return false;
    do {
        ps->at++;
        skip_space(ps);
    } while (ps->at < ps->end && *ps->at == ';');
    if (ps->at == ps->end) /* a semicolon at the end is harmless */
        return true;
    if (!take_name(ps, p))
        return false;
    ps->at++;
    skip_space(ps);
    bool ok = take_value(ps, p);
    skip_space(ps);
    return ok;
}

bool parameter_next(struct parameters *ps, struct parameter *p)
{
    if (ps->malformed || ps->at == ps->end)
        return false;
    ps->malformed = !take(ps, p);
    return !ps->malformed && p->name_len > 0;
}

bool parameter_is(const struct parameter *p, const char *name)
{
    if (p->name_len != strlen(name))
        return false;
    for (size_t i = 0; i < p->name_len; i++)
        if (ascii_lower(p->name[i]) != name[i])
            return false;
    return true;
}

size_t parameter_copy(const struct parameter *p, char *out)
{
    const char *s = p->value, *end = s + p->value_len;
    size_t len = 0;
    while (s < end) {
        if (p->quoted && is_escape(s, end))
            s++;
        out[len++] = *s++;
    }
    return len;
}
