/* Log and con:log write a line to the daemon's log. They run in the thread that owns the
 * state. */
#include "lua/log_api.h"

#include "base/log.h"

#include <lauxlib.h>

/* Writes any values, one after the other, as one line; without a value it writes none. */
static int write_log(lua_State *L, int first)
{
    int last = lua_gettop(L);
    if (last < first)
        return 0;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (int i = first; i <= last; i++) {
        luaL_tolstring(L, i, NULL);
        luaL_addvalue(&b);
    }
    luaL_pushresult(&b);
    size_t len;
    const char *text = lua_tolstring(L, -1, &len);
    log_text(LOG_LEVEL_INFO, text, len);
    return 0;
}

static const struct facility_row rows[] = {{"Log", "log", write_log}, {0}};

const struct facility log_api = {.rows = rows};
