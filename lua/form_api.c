/* What the client sent, as scripts ask for it. Runs in the thread that owns the state,
 * and waits while a body arrives (lua/pace.h). */
#include "lua/form_api.h"

#include "base/ascii.h"
#include "lua/call.h"
#include "lua/form.h"

#include <lauxlib.h>
#include <string.h>

static int query(lua_State *L, int first)
{
    (void)first;
    form_push_query(L);
    return 1;
}

static int form_is_there(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    form_push_fields(L);
    return 1;
}

static int form(lua_State *L, int first)
{
    (void)first;
    return form_await(L, 0, form_is_there);
}

static int files_are_there(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    form_push_files(L);
    return 1;
}

static int files(lua_State *L, int first)
{
    (void)first;
    return form_await(L, 0, files_are_there);
}

/* Replaces the table on top by its first value of the name at `index`. Returns whether
 * there is one. */
static bool find(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    lua_rawget(L, -2);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, 1);
        lua_remove(L, -2);
    }
    lua_remove(L, -2);
    return !lua_isnil(L, -1);
}

static int find_field(lua_State *L, int status, lua_KContext first)
{
    (void)status;
    form_push_fields(L);
    if (find(L, (int)first))
        return 1;
    lua_pop(L, 1);
    form_push_query(L);
    if (!find(L, (int)first))
        lua_settop(L, (int)first + 1);
    return 1;
}

static int field(lua_State *L, int first)
{
    luaL_checkstring(L, first);
    lua_settop(L, first + 1);
    return form_await(L, first, find_field);
}

/* -- Headers -- */

/* Whether a parameter is the one that a header becomes (RFC 3875 section 4.1.18):
 * "Accept-Language" is HTTP_ACCEPT_LANGUAGE. */
static bool is_header(const struct param *p, const char *name, size_t len,
                      const char *prefix)
{
    size_t skip = strlen(prefix);
    if (p->name_len != skip + len || memcmp(p->name, prefix, skip) != 0)
        return false;
    for (size_t i = 0; i < len; i++)
        if (p->name[skip + i] != (name[i] == '-' ? '_' : ascii_upper(name[i])))
            return false;
    return true;
}

static const struct param *find_header(struct request *r, const char *name, size_t len)
{
    size_t count;
    const struct param *params = request_params(r, &count);
    for (size_t i = 0; i < count; i++)
        if (is_header(&params[i], name, len, "HTTP_"))
            return &params[i];
    /* These two have no HTTP_, and web servers send them empty (section 4.1.2). */
    for (size_t i = 0; i < count; i++)
        if ((params[i].name_len == 12 || params[i].name_len == 14) &&
            memcmp(params[i].name, "CONTENT_", 8) == 0 && params[i].value_len > 0 &&
            is_header(&params[i], name, len, ""))
            return &params[i];
    return NULL;
}

static int header(lua_State *L, int first)
{
    size_t len;
    const char *name = luaL_checklstring(L, first, &len);
    const struct param *p = find_header(call_of(L)->request, name, len);
    if (p == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, p->value, p->value_len);
    return 1;
}

static const struct facility_row rows[] = {
    {"query", NULL, query}, {"form", NULL, form},     {"field", NULL, field},
    {"files", NULL, files}, {"header", NULL, header}, {0},
};

const struct facility form_api = {.table = "lf", .rows = rows};
