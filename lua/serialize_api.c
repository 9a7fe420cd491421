/* lf.serialize: a value as Lua source. Runs in the thread that owns the state; the text
 * is built in a buffer that belongs to Lua. */
#include "lua/serialize_api.h"

#include "lua/limit.h"
#include "lua/scratch.h"

#include <float.h>
#include <lauxlib.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX  150  /* of tables; Lua's parser accepts more */
#define STEP_BYTES 4096 /* of work between two looks at the limit */

/* Frees the buffer first: in a state that is being closed no collector would. */
static void refuse(lua_State *L, struct buffer *b, const char *what)
{
    buffer_free(b);
    luaL_error(L, "cannot serialize a %s", what);
}

static void write_string(lua_State *L, struct buffer *b, const char *s, size_t len)
{
    limit_check_memory(L, buffer_reserve(b, len + 2) && buffer_append(b, "\"", 1));
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (i % STEP_BYTES == STEP_BYTES - 1)
            limit_check(L);
        if (c == '"' || c == '\\')
            limit_check_memory(L, buffer_printf(b, "\\%c", c));
        else if (c < 32 || c == 127)
            limit_check_memory(L, buffer_printf(b, "\\%03d", c));
        else
            limit_check_memory(L, buffer_append(b, s + i, 1));
    }
    limit_check_memory(L, buffer_append(b, "\"", 1));
}

/* Writes as few digits as are needed to read the same number back. 15 or more are needed
 * for a number of full precision; the smallest numbers have less, so they start at 1. */
static void format_float(lua_Number n, char *text, size_t size)
{
    int digits = n > -DBL_MIN && n < DBL_MIN ? 1 : DBL_DIG;
    do
        snprintf(text, size, "%.*g", digits, n);
    while (digits++ < DBL_DECIMAL_DIG && strtod(text, NULL) != n);
}

/* Writes a float so that it is read back as a float: "1.0", not "1". The decimal point is
 * a '.' in every locale. */
static void write_float(lua_State *L, struct buffer *b, lua_Number n)
{
    char text[64];
    format_float(n, text, sizeof text);
    bool is_integer = true, in_point = false;
    for (const char *c = text; *c != '\0'; c++) {
        bool own = (*c >= '0' && *c <= '9') || strchr("+-e", *c) != NULL;
        if (own || !in_point)
            limit_check_memory(L, buffer_append(b, own ? c : ".", 1));
        in_point = !own;
        is_integer = is_integer && own && *c != 'e';
    }
    if (is_integer)
        limit_check_memory(L, buffer_puts(b, ".0"));
}

static void write_number(lua_State *L, struct buffer *b, int index)
{
    if (lua_isinteger(L, index)) {
        lua_Integer n = lua_tointeger(L, index);
        /* Lua reads a minus sign and digits apart, and the least integer's digits do not
         * fit an integer. */
        limit_check_memory(
            L, buffer_printf(b, n == LUA_MININTEGER ? "0x%llx" : "%lld", (long long)n));
        return;
    }
    lua_Number n = lua_tonumber(L, index);
    if (isnan(n))
        limit_check_memory(L, buffer_puts(b, "(0/0)"));
    else if (isinf(n))
        limit_check_memory(L, buffer_puts(b, n > 0 ? "1e9999" : "-1e9999"));
    else
        write_float(L, b, n);
}

static void write_value(lua_State *L, struct buffer *b, int index, int depth);

static void write_table(lua_State *L, struct buffer *b, int index, int depth)
{
    if (depth == DEPTH_MAX)
        refuse(L, b, "table that contains itself or is nested too deep");
    luaL_checkstack(L, 4, "table nested too deep");
    limit_check_memory(L, buffer_append(b, "{", 1));
    bool first = true;
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        limit_check(L);
        limit_check_memory(L, buffer_puts(b, first ? "[" : ",["));
        int top = lua_gettop(L);
        if (lua_istable(L, top - 1))
            refuse(L, b, "table as a key");
        write_value(L, b, top - 1, depth + 1);
        limit_check_memory(L, buffer_puts(b, "]="));
        write_value(L, b, top, depth + 1);
        lua_pop(L, 1);
        first = false;
    }
    limit_check_memory(L, buffer_append(b, "}", 1));
}

static void write_value(lua_State *L, struct buffer *b, int index, int depth)
{
    size_t len;
    const char *s;
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        limit_check_memory(L, buffer_puts(b, "nil"));
        break;
    case LUA_TBOOLEAN:
        limit_check_memory(L, buffer_puts(b, lua_toboolean(L, index) ? "true" : "false"));
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

static int serialize(lua_State *L, int first)
{
    lua_settop(L, first);
    struct buffer *b = scratch_push(L);
    write_value(L, b, first, 0);
    return scratch_finish(L, first + 1);
}

static const struct facility_row rows[] = {{"serialize", NULL, serialize}, {0}};

const struct facility serialize_api = {.table = "lf", .rows = rows};
