/* Reads the Cookie header without copying it. Any thread; owns nothing. */
#include "http/cookie.h"

#include <string.h>

static bool is_space(char c)
{
    return c == ' ' || c == '\t';
}

static size_t trimmed(const char *s, size_t len)
{
    while (len > 0 && is_space(s[len - 1]))
        len--;
    return len;
}

/* Takes `len` bytes at `s`. A ';' ends a value in quotes, too: otherwise a cookie with a
 * single quote would swallow those behind it. */
static void take_value(const char *s, size_t len, struct cookie *cookie)
{
    while (len > 0 && is_space(*s)) {
        s++;
        len--;
    }
    len = trimmed(s, len);
    bool quoted = len >= 2 && s[0] == '"' && s[len - 1] == '"';
    cookie->value = s + quoted;
    cookie->value_len = len - (quoted ? 2 : 0);
}

bool cookie_next(const char **header, struct cookie *cookie)
{
    const char *s = *header;
    do {
        s += strspn(s, " \t;");
        if (*s == '\0')
            return false;
        size_t len = strcspn(s, ";"), name_len = strcspn(s, "=;");
        *cookie = (struct cookie){s, "", trimmed(s, name_len), 0};
        if (name_len < len)
            take_value(s + name_len + 1, len - name_len - 1, cookie);
        s += len;
    } while (cookie->name_len == 0);
    *header = s;
    return true;
}
