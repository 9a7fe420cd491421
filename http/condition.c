/* Conditional and range requests. Pure functions, for any thread. */
#include "http/condition.h"

#include "base/ascii.h"
#include "http/date.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* -- Validators -- */

/* Whether a list of entity tags has `etag`; "*" has every one. With `weak` also its weak
 * form (section 8.8.3.2). What is no entity tag is skipped. */
static bool has_etag(const char *list, const char *etag, bool weak)
{
    size_t len = strlen(etag);
    const char *s = list + strspn(list, " \t");
    if (s[0] == '*' && s[1 + strspn(s + 1, " \t")] == '\0')
        return true;
    while (*(s += strspn(s, " \t,")) != '\0') {
        bool is_weak = s[0] == 'W' && s[1] == '/';
        s += is_weak ? 2 : 0;
        if ((weak || !is_weak) && strncmp(s, etag, len) == 0 &&
            (s[len] == '\0' || strchr(" \t,", s[len]) != NULL))
            return true;
        if (*s == '"')
            s += 1 + strcspn(s + 1, "\"");
        s += strcspn(s, ",");
    }
    return false;
}

static bool read_date(const char *text, int64_t now, int64_t *time)
{
    return text != NULL && date_parse(text, strlen(text), now, time);
}

/* 0: nothing stands against sending it (section 13.2.2). */
static int check_validators(const struct condition *c,
                            const struct condition_target *target, int64_t now)
{
    int64_t date;
    if (c->if_match != NULL) {
        if (!has_etag(c->if_match, target->etag, false))
            return 412;
    } else if (read_date(c->if_unmodified_since, now, &date) && target->modified > date) {
        return 412;
    }
    if (c->if_none_match != NULL)
        return has_etag(c->if_none_match, target->etag, true) ? 304 : 0;
    return read_date(c->if_modified_since, now, &date) && target->modified <= date ? 304
                                                                                   : 0;
}

/* Whether the part that the client has is of the same version. A date counts only if it
 * is the exact one, and too old for a second change to have the same (section 8.8.2.2).
 */
static bool is_same_version(const char *if_range, const struct condition_target *target,
                            int64_t now)
{
    int64_t date;
    if (if_range == NULL)
        return true;
    if (if_range[0] == '"' || strncmp(if_range, "W/", 2) == 0)
        return strcmp(if_range, target->etag) == 0;
    return read_date(if_range, now, &date) && date == target->modified && now - date > 1;
}

/* -- Ranges -- */

/* Takes digits off `*s`; -1: there are none. What is larger than a file can be is as
 * large as one can be. */
static int64_t take_number(const char **s)
{
    if (!ascii_is_digit(**s))
        return -1;
    int64_t n = 0;
    for (; ascii_is_digit(**s); ++*s)
        n = n > INT64_MAX / 16 ? n : n * 10 + (**s - '0');
    return n;
}

/* 200 without a range, or with a malformed one. */
static int check_range(const char *range, int64_t size, int64_t *first, int64_t *length)
{
    if (range == NULL || strncasecmp(range, "bytes=", 6) != 0)
        return 200;
    const char *s = range + 6 + strspn(range + 6, " \t");
    int64_t from = take_number(&s);
    if (*s++ != '-')
        return 200;
    int64_t to = take_number(&s);
    if (s[strspn(s, " \t")] != '\0' || (from < 0 && to < 0) ||
        (from >= 0 && to >= 0 && to < from))
        return 200;
    if (from < 0) { /* the last `to` bytes */
        from = to < size ? size - to : 0;
        if (to == 0)
            return 416;
        to = size - 1;
    }
    if (from >= size)
        return 416;
    *first = from;
    *length = (to < 0 || to >= size ? size - 1 : to) - from + 1;
    return 206;
}

int condition_check(const struct condition *c, const struct condition_target *target,
                    int64_t now, int64_t *first, int64_t *length)
{
    *first = 0;
    *length = target->size;
    int status = check_validators(c, target, now);
    if (status != 0)
        return status;
    return is_same_version(c->if_range, target, now)
               ? check_range(c->range, target->size, first, length)
               : 200;
}
