/* Where an error happened. Lua writes the place of an error at the beginning of its text,
 * and those of the functions that were running into the traceback, a line for each. Pure
 * functions, for any thread. */
#include "lua/fault.h"

#include "base/ascii.h"

#include <luaconf.h>
#include <stdlib.h>
#include <string.h>

#define DOTS "..."

/* The number in ":12:" at `s`; 0: there is none. */
static int line_number(const char *s)
{
    char *end;
    if (s[0] != ':' || !ascii_is_digit(s[1]))
        return 0;
    long n = strtol(s + 1, &end, 10);
    return *end == ':' && n > 0 && n < 1000000000 ? (int)n : 0;
}

/* The number behind `name` at `s`, whole or as Lua shortens it; 0: it is another name. */
static int match(const char *s, const char *name, size_t len)
{
    const size_t room = LUA_IDSIZE - 1, dots = strlen(DOTS);
    if (strncmp(s, name, len) == 0)
        return line_number(s + len);
    if (len <= room || strncmp(s, DOTS, dots) != 0)
        return 0;
    const char *tail = name + len - (room - dots);
    return strncmp(s + dots, tail, room - dots) == 0 ? line_number(s + room) : 0;
}

void fault_look(struct fault *fault, const char *text, const char *name, const char *path)
{
    size_t len = strlen(name);
    for (const char *s = text; s != NULL; s = strchr(s, '\n')) {
        s += strspn(s, "\n\t ");
        if (fault->path != NULL && (size_t)(s - text) >= fault->at)
            return;
        int line = match(s, name, len);
        if (line == 0)
            continue;
        *fault = (struct fault){path, line, (size_t)(s - text)};
        return;
    }
}
