/* How scripts set cookies. Runs in the thread that owns the state, and keeps nothing. */
#include "lua/cookie_api.h"

#include "http/date.h"
#include "http/setcookie.h"
#include "lua/limit.h"
#include "lua/response_api.h"
#include "lua/scratch.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>

/* -- Options: each reads the value on top of the stack. The strings stay in the script's
 * table, which the stack has, too. -- */

static struct setcookie_text text_of(lua_State *L, const char *name)
{
    struct setcookie_text t;
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "SetCookie: option %s: a string expected, got a %s", name,
                   luaL_typename(L, -1));
    t.data = lua_tolstring(L, -1, &t.len);
    return t;
}

static bool flag_of(lua_State *L, const char *name)
{
    if (!lua_isboolean(L, -1))
        luaL_error(L, "SetCookie: option %s: true or false expected, got a %s", name,
                   luaL_typename(L, -1));
    return lua_toboolean(L, -1);
}

static int64_t integer_of(lua_State *L, const char *name)
{
    int ok = 0;
    lua_Integer n = 0;
    if (lua_type(L, -1) == LUA_TNUMBER)
        n = lua_tointegerx(L, -1, &ok);
    if (!ok)
        luaL_error(L, "SetCookie: option %s: an integer expected, got %s", name,
                   luaL_tolstring(L, -1, NULL));
    return n;
}

static void read_path(lua_State *L, const char *name, struct setcookie *c)
{
    c->path = text_of(L, name);
}

static void read_domain(lua_State *L, const char *name, struct setcookie *c)
{
    c->domain = text_of(L, name);
}

static void read_same_site(lua_State *L, const char *name, struct setcookie *c)
{
    c->same_site = text_of(L, name);
}

static void read_secure(lua_State *L, const char *name, struct setcookie *c)
{
    c->secure = flag_of(L, name);
}

static void read_http_only(lua_State *L, const char *name, struct setcookie *c)
{
    c->http_only = flag_of(L, name);
}

static void read_max_age(lua_State *L, const char *name, struct setcookie *c)
{
    c->max_age = integer_of(L, name);
    c->has_max_age = true;
}

static void read_expires(lua_State *L, const char *name, struct setcookie *c)
{
    c->has_expires = true;
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_Number t = lua_type(L, -1) == LUA_TNUMBER ? lua_tonumber(L, -1) : 0;
        if (lua_isinteger(L, -1) ||
            !(t > (lua_Number)DATE_MIN && t < (lua_Number)DATE_MAX))
            c->expires = integer_of(L, name);
        else
            c->expires = (int64_t)t;
        return;
    }
    struct setcookie_text t = text_of(L, name);
    if (!date_parse(t.data, t.len, time(NULL), &c->expires))
        luaL_error(L, "SetCookie: option %s: a time or an HTTP date expected", name);
}

static const struct {
    const char *name;
    void (*read)(lua_State *L, const char *name, struct setcookie *c);
} options[] = {
    {"expires", read_expires},    {"maxage", read_max_age}, {"path", read_path},
    {"domain", read_domain},      {"secure", read_secure},  {"httponly", read_http_only},
    {"samesite", read_same_site},
};

static void read_option(lua_State *L, struct setcookie *c)
{
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        if (strcmp(name, options[i].name) == 0) {
            options[i].read(L, name, c);
            return;
        }
    luaL_error(L, "SetCookie: there is no option '%s'", luaL_tolstring(L, -2, NULL));
}

static void read_options(lua_State *L, int index, struct setcookie *c)
{
    if (lua_isnil(L, index))
        return;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        limit_check(L);
        read_option(L, c);
        lua_pop(L, 1);
    }
}

/* The value nil takes the cookie away. */
static void read_value(lua_State *L, int index, struct setcookie *c)
{
    if (!lua_isnil(L, index)) {
        c->value.data = luaL_checklstring(L, index, &c->value.len);
        return;
    }
    c->value = (struct setcookie_text){"", 0};
    c->max_age = c->expires = 0;
    c->has_max_age = c->has_expires = true;
}

static int set_cookie(lua_State *L, int first)
{
    struct setcookie c = {.path = {"/", 1}};
    luaL_checkany(L, first + 1);
    lua_settop(L, first + 2);
    c.name.data = luaL_checklstring(L, first, &c.name.len);
    read_options(L, first + 2, &c);
    read_value(L, first + 1, &c);
    if (c.name.len > SETCOOKIE_MAX || c.value.len > SETCOOKIE_MAX)
        luaL_error(L, "SetCookie: more than %d bytes", SETCOOKIE_MAX);
    const char *why = setcookie_check(&c);
    if (why != NULL)
        luaL_error(L, "SetCookie: %s", why);
    struct buffer *value = scratch_push(L);
    limit_check_memory(L, setcookie_write(&c, value));
    response_api_set_header(L, "Set-Cookie", value->data, value->len);
    return 0;
}

static const struct facility_row rows[] = {
    {"SetCookie", NULL, set_cookie},
    {0},
};

const struct facility cookie_api = {.rows = rows};
