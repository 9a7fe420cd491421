/* Reading of the Cookie header, without copying it. */
#include "cookie.h"

#include <string.h>

static size_t trimmed(const char *s, size_t len)
{
    while (len > 0 && (s[len - 1] == ' ' || s[len - 1] == '\t'))
        len--;
    return len;
}

/* Reads the value that begins at `s`; returns what follows it. */
static const char *read_value(const char *s, struct cookie *cookie)
{
    s += strspn(s, " \t");
    bool quoted = *s == '"' && strchr(s + 1, '"') != NULL;
    cookie->value = s + quoted;
    cookie->value_len = strcspn(cookie->value, quoted ? "\"" : ";,");
    s = cookie->value + cookie->value_len;
    if (!quoted)
        cookie->value_len = trimmed(cookie->value, cookie->value_len);
    return s + strcspn(s, ";,");
}

bool cookie_next(const char **header, struct cookie *cookie)
{
    const char *s = *header;
    do {
        s += strspn(s, " \t;,");
        if (*s == '\0')
            return false;
        size_t len = strcspn(s, "=;,");
        *cookie = (struct cookie){s, "", trimmed(s, len), 0};
        s += len;
        if (*s == '=')
            s = read_value(s + 1, cookie);
    } while (cookie->name_len == 0);
    *header = s;
    return true;
}
