/* lf's functions for URL encoding and forms. They run in the thread that owns the state,
 * and keep nothing. */
#include "lua/url_api.h"

#include "base/ascii.h"
#include "config.h"
#include "lua/limit.h"
#include "lua/refusal.h"
#include "lua/state.h"

#include <lauxlib.h>
#include <string.h>

#define STEP_BYTES 4096 /* of work between two looks at the limit */

static int urlencode(lua_State *L, int first)
{
    static const char hex[] = "0123456789ABCDEF";
    if (lua_isnoneornil(L, first)) {
        lua_pushnil(L);
        return 1;
    }
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
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

/* Pushes `s` decoded. A '%' without two hexadecimal digits after it stays as it is. */
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

static int urldecode(lua_State *L, int first)
{
    if (lua_isnoneornil(L, first)) {
        lua_pushnil(L);
        return 1;
    }
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
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

static int parse_pair(lua_State *L, int first)
{
    if (lua_isnoneornil(L, first)) {
        lua_pushnil(L);
        lua_pushnil(L);
        return 2;
    }
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
    push_pair(L, s, len);
    return 2;
}

/* Pops name and value and puts them into the table below; the values of a repeated name
 * become a list. */
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

/* The client chooses the names, and can choose many that have the same hash in Lua: then
 * adding one costs a walk along all the others. So their number is bounded. */
static void count_field(lua_State *L, int *fields)
{
    int max = state_config(state_of(L))->max_form_fields;
    if (max > 0 && ++*fields > max)
        refusal_raise(L, 400, "a form of more than %d fields (MaxFormFields)", max);
}

static int parse(lua_State *L, int first)
{
    size_t len = 0;
    const char *s = luaL_optlstring(L, first, "", &len);
    int fields = 0;
    lua_newtable(L);
    while (len > 0) {
        const char *end = memchr(s, '&', len);
        size_t part = end == NULL ? len : (size_t)(end - s);
        limit_check(L);
        if (part > 0) {
            count_field(L, &fields);
            push_pair(L, s, part);
            add_pair(L);
        }
        size_t step = part + (end != NULL);
        s += step;
        len -= step;
    }
    return 1;
}

static const struct facility_row rows[] = {
    {"urlencode", NULL, urlencode},
    {"urldecode", NULL, urldecode},
    {"parse_pair", NULL, parse_pair},
    {"parse", "parse", parse},
    {0},
};

const struct facility url_api = {.table = "lf", .rows = rows};
