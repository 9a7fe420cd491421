/* The option Config, a table for the site's scripts: from the file to the bytes that each
 * Lua state decodes. Values that cannot be given to scripts are found and named here.
 * Runs on the thread that loads; owns nothing, no locks. */
#include "config/app.h"

#include "base/ascii.h"
#include "base/value.h"
#include "config/report.h"

#include <lauxlib.h>

static bool is_identifier(const char *s)
{
    if (!ascii_is_alpha(*s) && *s != '_')
        return false;
    while (ascii_is_alnum(*s) || *s == '_')
        s++;
    return *s == '\0';
}

/* Pushes `path` and one more key, written as Lua would, as a string. */
static void push_path(lua_State *L, const char *path, int key)
{
    char text[128];
    const char *name = loader_text_at(L, key);
    if (name != NULL && is_identifier(name))
        lua_pushfstring(L, "%s.%s", path, name);
    else
        lua_pushfstring(L, "%s[%s]", path, report_describe(L, key, text, sizeof text));
}

static void explain_table(struct loader *l, int table, int seen, const char *path,
                          int depth);

/* The value at the top, found at `path`. */
static void explain_value(struct loader *l, int seen, const char *path, int depth)
{
    char text[128];
    int index = lua_gettop(l->L);
    switch (lua_type(l->L, index)) {
    case LUA_TTHREAD:
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        report_complain(l, "%s: %s cannot be given to scripts", path,
                        report_describe(l->L, index, text, sizeof text));
        break;
    case LUA_TTABLE:
        explain_table(l, index, seen, path, depth);
        break;
    default:
        break;
    }
}

static void explain_key(struct loader *l, int key, const char *path)
{
    char text[128];
    int type = lua_type(l->L, key);
    if (type != LUA_TBOOLEAN && type != LUA_TNUMBER && type != LUA_TSTRING &&
        type != LUA_TFUNCTION)
        report_complain(l, "%s: %s as a key cannot be given to scripts", path,
                        report_describe(l->L, key, text, sizeof text));
}

/* If the key or the value of a field is a function, takes the field out of the table that
 * was found at `path`. The key is at `key`; above it are the value and the path of the
 * field. Earlier programs of the family left functions out as well, without a warning. */
static bool leave_out_function(struct loader *l, int table, int key, const char *path)
{
    lua_State *L = l->L;
    bool as_key = lua_isfunction(L, key);
    if (!as_key && !lua_isfunction(L, key + 1))
        return false;
    report_warn(l, "%s: a function%s cannot be given to scripts; it is left out",
                as_key ? path : lua_tostring(L, key + 2), as_key ? " as a key" : "");
    lua_pushvalue(L, key);
    lua_pushnil(L);
    lua_rawset(L, table);
    return true;
}

/* Reports every value in the table that value_encode refuses, and takes functions out.
 * `seen` maps a table to true while the walk is inside it and to false after it, so that
 * each is walked once. */
static void explain_table(struct loader *l, int table, int seen, const char *path,
                          int depth)
{
    lua_State *L = l->L;
    luaL_checkstack(L, 16, "Config");
    lua_pushvalue(L, table);
    bool known = lua_rawget(L, seen) != LUA_TNIL, inside = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (inside)
        report_complain(l, "%s: a table that contains itself cannot be given to scripts",
                        path);
    if (!known && depth >= VALUE_DEPTH_MAX)
        report_complain(l, "%s: nested too deep to be given to scripts", path);
    if (known || depth >= VALUE_DEPTH_MAX)
        return;
    lua_pushvalue(L, table);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        int key = lua_gettop(L) - 1;
        explain_key(l, key, path);
        push_path(L, path, key);
        lua_pushvalue(L, key + 1);
        if (!leave_out_function(l, table, key, path))
            explain_value(l, seen, lua_tostring(L, key + 2), depth + 1);
        lua_pop(L, 2);
    }
    lua_pushvalue(L, table);
    lua_pushboolean(L, 0);
    lua_rawset(L, seen);
}

bool app_store(struct loader *l, const struct option_row *o, int index)
{
    struct buffer bytes = {0};
    if (!lua_istable(l->L, index))
        return false;
    const char *why = value_encode(l->L, index, &bytes);
    int mistakes = l->mistakes;
    if (why != NULL) {
        lua_newtable(l->L);
        explain_table(l, index, lua_gettop(l->L), o->name, 0);
        lua_pop(l->L, 1);
        bytes.len = 0;
        why = value_encode(l->L, index, &bytes); /* without its functions */
    }
    l->config->app = bytes.data;
    l->config->app_len = bytes.len;
    if (why != NULL && l->mistakes == mistakes)
        report_complain(l, "%s: %s cannot be given to scripts", o->name, why);
    l->bad[loader_row(o)] = why != NULL;
    return true;
}
