/* lf's functions for HTTP's dates and media types. They run in the thread that owns the
 * state, and keep nothing. */
#include "lua/http_api.h"

#include "http/date.h"
#include "http/mime.h"

#include <lauxlib.h>
#include <time.h>

static int http_date(lua_State *L, int first)
{
    lua_Number t = luaL_optnumber(L, first, (lua_Number)time(NULL));
    luaL_argcheck(L, t >= (lua_Number)DATE_MIN && t <= (lua_Number)DATE_MAX, first,
                  "a time of the years 1 to 9999 expected");
    char text[DATE_SIZE];
    int64_t seconds = (int64_t)t;
    date_print((lua_Number)seconds > t ? seconds - 1 : seconds, text);
    lua_pushstring(L, text);
    return 1;
}

/* A client may send anything, so that it is no date is no error. */
static int parse_http_date(lua_State *L, int first)
{
    size_t len;
    const char *text = luaL_checklstring(L, first, &len);
    int64_t result;
    if (date_parse(text, len, time(NULL), &result)) {
        lua_pushinteger(L, (lua_Integer)result);
        return 1;
    }
    lua_pushnil(L);
    lua_pushliteral(L, "not an HTTP date");
    return 2;
}

static int mime(lua_State *L, int first)
{
    size_t len;
    const char *path = luaL_checklstring(L, first, &len);
    lua_pushstring(L, mime_type(path, len));
    return 1;
}

static const struct facility_row rows[] = {
    {"http_date", NULL, http_date},
    {"parse_http_date", NULL, parse_http_date},
    {"mime", NULL, mime},
    {0},
};

const struct facility http_api = {.table = "lf", .rows = rows};
