/* lf's functions for URL encoding and forms. They run in the thread that owns the state,
 * and keep nothing. */
#include "lua/url_api.h"

#include "base/ascii.h"
#include "lua/fields.h"
#include "lua/limit.h"

#include <lauxlib.h>

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

static int urldecode(lua_State *L, int first)
{
    if (lua_isnoneornil(L, first)) {
        lua_pushnil(L);
        return 1;
    }
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
    fields_push_decoded(L, s, len);
    return 1;
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
    fields_push_pair(L, s, len);
    return 2;
}

static int parse(lua_State *L, int first)
{
    size_t len = 0;
    const char *s = luaL_optlstring(L, first, "", &len);
    fields_parse(L, s, len);
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
