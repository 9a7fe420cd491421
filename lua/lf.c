/* The helper library for scripts. Runs in the thread that owns the state; output is built
 * in buffers that Lua owns, so that an error half way leaks nothing. */
#include "lua/lf.h"

#include "base/ascii.h"
#include "config.h"
#include "lua/limit.h"
#include "lua/refusal.h"
#include "lua/state.h"

#include <float.h>
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SERIALIZE_DEPTH 150 /* what the parser of Lua surely takes back */

/* Bytes of work between two looks at the limit. */
#define STEP_BYTES 4096

#define BUFFER_TYPE "luafcgid2.buffer"

static int free_buffer(lua_State *L)
{
    buffer_free(luaL_checkudata(L, 1, BUFFER_TYPE));
    return 0;
}

struct buffer *lf_push_buffer(lua_State *L)
{
    struct buffer *b = lua_newuserdata(L, sizeof *b);
    *b = (struct buffer){.memory = &limit_of(L)->outside};
    if (luaL_newmetatable(L, BUFFER_TYPE)) {
        lua_pushcfunction(L, free_buffer);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    return b;
}

static void must(lua_State *L, bool ok)
{
    if (!ok)
        limit_raise_memory(L);
}

static int push_result(lua_State *L, struct buffer *b)
{
    lua_pushlstring(L, b->data == NULL ? "" : b->data, b->len);
    buffer_free(b);
    return 1;
}

/* -- URL encoding -- */

static int lf_urlencode(lua_State *L)
{
    static const char hex[] = "0123456789ABCDEF";
    if (lua_isnoneornil(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (i % STEP_BYTES == STEP_BYTES - 1)
            limit_check(L);
        if (ascii_is_alnum(s[i])) {
            luaL_addchar(&b, s[i]);
        } else if (c == ' ') {
            luaL_addchar(&b, '+');
        } else {
            luaL_addchar(&b, '%');
            luaL_addchar(&b, hex[c >> 4]);
            luaL_addchar(&b, hex[c & 15]);
        }
    }
    luaL_pushresult(&b);
    return 1;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* Pushes `s` decoded. A '%' without two hexadecimal digits stands for itself. */
static void push_decoded(lua_State *L, const char *s, size_t len)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t next_look = STEP_BYTES;
    for (size_t i = 0; i < len; i++) {
        if (i >= next_look) {
            limit_check(L);
            next_look += STEP_BYTES;
        }
        int high = i + 2 < len && s[i] == '%' ? hex_digit(s[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s[i + 2]) : -1;
        if (low >= 0) {
            luaL_addchar(&b, (char)(high << 4 | low));
            i += 2;
        } else {
            luaL_addchar(&b, s[i] == '+' ? ' ' : s[i]);
        }
    }
    luaL_pushresult(&b);
}

static int lf_urldecode(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_pushnil(L);
        return 1;
    }
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    push_decoded(L, s, len);
    return 1;
}

/* Pushes the decoded name and value of "name=value". */
static void push_pair(lua_State *L, const char *s, size_t len)
{
    const char *equals = len == 0 ? NULL : memchr(s, '=', len);
    size_t name_len = equals == NULL ? len : (size_t)(equals - s);
    push_decoded(L, s, name_len);
    if (equals == NULL)
        lua_pushliteral(L, "");
    else
        push_decoded(L, equals + 1, len - name_len - 1);
}

static int lf_parse_pair(lua_State *L)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_pushnil(L);
        lua_pushnil(L);
        return 2;
    }
    size_t len;
    const char *s = luaL_checklstring(L, 1, &len);
    push_pair(L, s, len);
    return 2;
}

/* Pops name and value and puts them into the table below: a repeated name gives a list.
 */
static void add_pair(lua_State *L)
{
    lua_pushvalue(L, -2);
    lua_rawget(L, -4); /* table name value old */
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawset(L, -3);
        return;
    }
    if (lua_istable(L, -1)) {
        lua_insert(L, -2); /* table name list value */
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 2);
        return;
    }
    lua_createtable(L, 2, 0); /* table name value old list */
    lua_insert(L, -3);        /* table name list value old */
    lua_rawseti(L, -3, 1);
    lua_rawseti(L, -2, 2);
    lua_rawset(L, -3);
}

/* A client chooses the names, and can choose such as Lua's hash makes the same: each
 * costs a walk along all the others, so their number is bounded. */
int lf_parse(lua_State *L)
{
    size_t len = 0;
    const char *s = luaL_optlstring(L, 1, "", &len);
    int max = state_config(state_of(L))->max_form_fields, fields = 0;
    lua_newtable(L);
    while (len > 0) {
        const char *end = memchr(s, '&', len);
        size_t part = end == NULL ? len : (size_t)(end - s);
        limit_check(L);
        if (part > 0) {
            if (max > 0 && ++fields > max)
                return refusal_raise(L, 400,
                                     "a form of more than %d fields "
                                     "(MaxFormFields)",
                                     max);
            push_pair(L, s, part);
            add_pair(L);
        }
        size_t step = part + (end != NULL);
        s += step;
        len -= step;
    }
    return 1;
}

/* -- Serialization -- */

/* Without waiting for the collector, which comes no more in a state that is being closed.
 */
static void refuse(lua_State *L, struct buffer *b, const char *what)
{
    buffer_free(b);
    luaL_error(L, "cannot serialize a %s", what);
}

static void write_string(lua_State *L, struct buffer *b, const char *s, size_t len)
{
    must(L, buffer_reserve(b, len + 2) && buffer_append(b, "\"", 1));
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (i % STEP_BYTES == STEP_BYTES - 1)
            limit_check(L);
        if (c == '"' || c == '\\')
            must(L, buffer_printf(b, "\\%c", c));
        else if (c < 32 || c == 127)
            must(L, buffer_printf(b, "\\%03d", c));
        else
            must(L, buffer_append(b, s + i, 1));
    }
    must(L, buffer_append(b, "\"", 1));
}

/* In as few digits as give it back. 15 always survive the way there and back, except of
 * the smallest numbers, which have less in them. */
static void format_float(lua_Number n, char *text, size_t size)
{
    int digits = n > -DBL_MIN && n < DBL_MIN ? 1 : DBL_DIG;
    do
        snprintf(text, size, "%.*g", digits, n);
    while (digits++ < DBL_DECIMAL_DIG && strtod(text, NULL) != n);
}

/* The text of a float, with a point, whatever the locale has there, and never one of an
 * integer. */
static void write_float(lua_State *L, struct buffer *b, lua_Number n)
{
    char text[64];
    format_float(n, text, sizeof text);
    bool is_integer = true, in_point = false;
    for (const char *c = text; *c != '\0'; c++) {
        bool own = (*c >= '0' && *c <= '9') || strchr("+-e", *c) != NULL;
        if (own || !in_point)
            must(L, buffer_append(b, own ? c : ".", 1));
        in_point = !own;
        is_integer = is_integer && own && *c != 'e';
    }
    if (is_integer)
        must(L, buffer_puts(b, ".0"));
}

static void write_number(lua_State *L, struct buffer *b, int index)
{
    if (lua_isinteger(L, index)) {
        lua_Integer n = lua_tointeger(L, index);
        /* The least integer has no decimal form: its digits alone are too large. */
        must(L, buffer_printf(b, n == LUA_MININTEGER ? "0x%llx" : "%lld", (long long)n));
        return;
    }
    lua_Number n = lua_tonumber(L, index);
    if (isnan(n))
        must(L, buffer_puts(b, "(0/0)"));
    else if (isinf(n))
        must(L, buffer_puts(b, n > 0 ? "1e9999" : "-1e9999"));
    else
        write_float(L, b, n);
}

static void serialize(lua_State *L, struct buffer *b, int index, int depth);

static void write_table(lua_State *L, struct buffer *b, int index, int depth)
{
    if (depth == SERIALIZE_DEPTH)
        refuse(L, b, "table that contains itself or is nested too deep");
    luaL_checkstack(L, 4, "table nested too deep");
    must(L, buffer_append(b, "{", 1));
    bool first = true;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        limit_check(L);
        must(L, buffer_puts(b, first ? "[" : ",["));
        int top = lua_gettop(L);
        if (lua_istable(L, top - 1))
            refuse(L, b, "table as a key");
        serialize(L, b, top - 1, depth + 1);
        must(L, buffer_puts(b, "]="));
        serialize(L, b, top, depth + 1);
        lua_pop(L, 1);
        first = false;
    }
    must(L, buffer_append(b, "}", 1));
}

static void serialize(lua_State *L, struct buffer *b, int index, int depth)
{
    size_t len;
    const char *s;
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        must(L, buffer_puts(b, "nil"));
        break;
    case LUA_TBOOLEAN:
        must(L, buffer_puts(b, lua_toboolean(L, index) ? "true" : "false"));
        break;
    case LUA_TNUMBER:
        write_number(L, b, index);
        break;
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &len);
        write_string(L, b, s, len);
        break;
    case LUA_TTABLE:
        write_table(L, b, index, depth);
        break;
    default:
        refuse(L, b, luaL_typename(L, index));
    }
}

static int lf_serialize(lua_State *L)
{
    lua_settop(L, 1);
    struct buffer *b = lf_push_buffer(L);
    serialize(L, b, 1, 0);
    return push_result(L, b);
}

int lf_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"urlencode", lf_urlencode},   {"urldecode", lf_urldecode},
        {"parse_pair", lf_parse_pair}, {"parse", lf_parse},
        {"serialize", lf_serialize},   {NULL, NULL},
    };
    luaL_newlib(L, functions);
    return 1;
}
