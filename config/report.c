/* Messages about a configuration while it is loaded: mistakes, warnings, and values in
 * words. Runs on the thread that loads; owns nothing, no locks. */
#include "config/report.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

void report_complain(struct loader *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(l->errors, "%s: ", l->file);
    vfprintf(l->errors, format, args);
    fputc('\n', l->errors);
    va_end(args);
    l->mistakes++;
}

void report_warn(struct loader *l, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_printf(&l->warnings, "%s: %s\n", l->file, text);
}

/* -- Values in words -- */

/* A string in quotes, at most about 60 characters of it, control characters escaped. */
static void describe_string(const char *s, size_t len, char *text, size_t size)
{
    size_t at = 0;
    text[at++] = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (at + 10 > size || (at > 60 && (c & 0xc0) != 0x80)) {
            at += (size_t)snprintf(text + at, size - at, "...");
            break;
        }
        if (c == '\n' || c == '\r')
            at += (size_t)snprintf(text + at, size - at, "\\%c", c == '\n' ? 'n' : 'r');
        else if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(text + at, size - at, "\\x%02x", c);
        else
            text[at++] = (char)c;
    }
    snprintf(text + at, size - at, "\"");
}

/* The C library may print a NaN with a sign, which has no meaning. */
static void describe_float(lua_Number n, char *text, size_t size)
{
    if (n != n)
        snprintf(text, size, "nan");
    else
        snprintf(text, size, "%.14g", n);
}

const char *report_describe(lua_State *L, int index, char *text, size_t size)
{
    size_t len;
    const char *s;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &len);
        describe_string(s, len, text, size);
        return text;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            snprintf(text, size, "%" PRId64, (int64_t)lua_tointeger(L, index));
        else
            describe_float(lua_tonumber(L, index), text, size);
        return text;
    case LUA_TBOOLEAN:
        return lua_toboolean(L, index) ? "true" : "false";
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        return "a userdata";
    case LUA_TTHREAD:
        return "a coroutine";
    default:
        snprintf(text, size, "a %s", luaL_typename(L, index));
        return text;
    }
}
