/* Log and con:log write a line to the daemon's log. They run in the thread that owns the
 * state. */
#include "lua/log_api.h"

#include <lauxlib.h>
#include <string.h>

/* The level that the first of several arguments names; LOG_LEVEL_INFO, and `first` stays,
 * when it names none. */
static enum log_level take_level(lua_State *L, int *first)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    if (lua_gettop(L) > *first && lua_type(L, *first) == LUA_TSTRING) {
        for (int i = 0; i < 4; i++) {
            if (strcmp(lua_tostring(L, *first), names[i]) == 0) {
                ++*first;
                return (enum log_level)i;
            }
        }
    }
    return LOG_LEVEL_INFO;
}

void log_api_write(lua_State *L, enum log_level level, int first, const char *separator)
{
    luaL_Buffer b;
    int last = lua_gettop(L);
    luaL_buffinit(L, &b);
    for (int i = first; i <= last; i++) {
        if (i > first)
            luaL_addstring(&b, separator);
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    log_text(level, text, len);
}

/* Without a value it writes no line. */
static int write_log(lua_State *L, int first)
{
    enum log_level level = take_level(L, &first);
    if (lua_gettop(L) >= first)
        log_api_write(L, level, first, "");
    return 0;
}

static const struct facility_row rows[] = {{"Log", "log", write_log}, {0}};

const struct facility log_api = {.rows = rows};
