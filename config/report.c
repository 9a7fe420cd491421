/* What is said of a configuration while it is loaded: mistakes, warnings, and values in
 * words. Runs on the main thread; owns nothing, no locks. */
#include "config/loader.h"

#include <inttypes.h>
#include <lauxlib.h>
#include <stdarg.h>
#include <string.h>

void loader_complain(struct loader *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(l->errors, "%s: ", l->file);
    vfprintf(l->errors, format, args);
    fputc('\n', l->errors);
    va_end(args);
    l->mistakes++;
}

void loader_warn(struct loader *l, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_printf(&l->warnings, "%s: %s\n", l->file, text);
}

void *loader_need(lua_State *L, void *memory)
{
    if (memory == NULL)
        luaL_error(L, "out of memory");
    return memory;
}

size_t loader_row(const struct option *o)
{
    return (size_t)(o - config_options);
}

const char *loader_name(const struct loader *l, const struct option *o)
{
    const char *name = l->set_as[loader_row(o)];
    return name != NULL ? name : o->name;
}

bool loader_is_set(const struct loader *l, const char *name)
{
    return l->set_as[loader_row(config_option_named(name))] != NULL;
}

bool loader_is_good(const struct loader *l, const char *name)
{
    return !l->bad[loader_row(config_option_named(name))];
}

const char *loader_called(const struct loader *l, const char *name)
{
    return loader_name(l, config_option_named(name));
}

/* -- Values in words -- */

const char *loader_text_at(lua_State *L, int index)
{
    size_t len;
    if (lua_type(L, index) != LUA_TSTRING)
        return NULL;
    const char *text = lua_tolstring(L, index, &len);
    return strlen(text) == len ? text : NULL;
}

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

/* The sign of a NaN tells nobody anything. */
static void describe_float(lua_Number n, char *text, size_t size)
{
    if (n != n)
        snprintf(text, size, "nan");
    else
        snprintf(text, size, "%.14g", n);
}

const char *loader_describe(lua_State *L, int index, char *text, size_t size)
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

static void note_on(lua_State *L, const struct option *o, int index, char *text,
                    size_t size)
{
    text[0] = '\0';
    bool wants_number =
        o->kind == KIND_INTEGER || o->kind == KIND_BYTES || o->kind == KIND_SECONDS;
    if (wants_number && lua_type(L, index) == LUA_TSTRING && lua_isnumber(L, index))
        snprintf(text, size, " (a string: leave out the quotes)");
    else if (o->note != NULL && lua_isinteger(L, index))
        o->note((int64_t)lua_tointeger(L, index), text, size);
}

/* "expected ..., got ...", into `text`. */
static void describe_misfit(lua_State *L, const struct option *o, int index, char *text,
                            size_t size)
{
    char expected[256], got[128], note[160];
    note_on(L, o, index, note, sizeof note);
    snprintf(text, size, "expected %s, got %s%s",
             config_option_expected(o, expected, sizeof expected),
             loader_describe(L, index, got, sizeof got), note);
}

void loader_complain_of_value(struct loader *l, const struct option *o, int index)
{
    char misfit[640];
    describe_misfit(l->L, o, index, misfit, sizeof misfit);
    loader_complain(l, "%s: %s", loader_name(l, o), misfit);
    l->bad[loader_row(o)] = true;
}

void loader_warn_of_bent(struct loader *l, const struct option *o, int index,
                         const char *used)
{
    char misfit[640];
    describe_misfit(l->L, o, index, misfit, sizeof misfit);
    loader_warn(l, "%s: %s; %s is used", loader_name(l, o), misfit, used);
}
