/* What scripts see of the daemon: values, functions and the methods of `con`.
 *
 * v1's methods and v2's functions are rows of two tables that share their code: a method
 * has `con` as its first argument, checked to be the present request's. A state's share
 * of this room, struct api, is memory of Lua's own. */
#include "api.h"

#include "globals.h"
#include "lf.h"
#include "limit.h"
#include "log.h"
#include "session_api.h"
#include "status.h"
#include "value.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#define CON_TYPE "luafcgid2.con"

struct api {
    struct api_call *call; /* NULL between requests */
    unsigned serial;       /* of the request: tells an old `con` from the present one */
    int self, config;      /* registry: this, Config */
    struct globals *globals;
};

struct con {
    unsigned serial;
};

/* -- Finding the request -- */

struct api_call *api_call_of(lua_State *L)
{
    struct api *api = script_api(script_of(L));
    if (api == NULL || api->call == NULL)
        luaL_error(L, "no request is being served: the script is still being loaded");
    return api->call;
}

static struct request *request_of(lua_State *L)
{
    return api_call_of(L)->request;
}

/* For a method: takes `con` off the arguments. */
static void take_con(lua_State *L)
{
    struct con *con = luaL_checkudata(L, 1, CON_TYPE);
    struct api *api = script_api(script_of(L));
    if (api->call == NULL || con->serial != api->serial)
        luaL_error(L, "this connection belongs to a request that is over");
    lua_remove(L, 1);
}

/* -- The body -- */

static int api_send(lua_State *L)
{
    struct request *r = request_of(L);
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++) {
        size_t len;
        const char *s = luaL_checklstring(L, i, &len);
        if (!request_send(r, s, len))
            return limit_raise_memory(L);
    }
    return 0;
}

/* Pushes the body, or at most `max` bytes of it. */
static void push_body(lua_State *L, struct request *r, size_t max)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t want = LUAL_BUFFERSIZE, total = 0;
    if (r->content_length > r->received && r->content_length - r->received < 1 << 30)
        want = (size_t)(r->content_length - r->received);
    while (total < max) {
        size_t step = max - total < want ? max - total : want;
        size_t got = request_read(r, luaL_prepbuffsize(&b, step), step);
        if (got == 0)
            break;
        luaL_addsize(&b, got);
        total += got;
        want = want > got ? want - got : LUAL_BUFFERSIZE;
    }
    luaL_pushresult(&b);
    if (r->body_too_large)
        luaL_error(L, "the body is larger than MaxPostSize");
    if (r->body_failed)
        luaL_error(L, "the body did not arrive whole");
}

static int api_receive(lua_State *L)
{
    lua_Integer max = luaL_optinteger(L, 1, LUA_MAXINTEGER);
    luaL_argcheck(L, max >= 0, 1, "a number of bytes expected");
    size_t bound = (lua_Unsigned)max > SIZE_MAX ? SIZE_MAX : (size_t)max;
    push_body(L, request_of(L), bound);
    return 1;
}

static int con_gets(lua_State *L)
{
    take_con(L);
    bool none_wanted = lua_isinteger(L, 1) && lua_tointeger(L, 1) == 0;
    api_receive(L);
    if (lua_rawlen(L, -1) == 0 && !none_wanted)
        lua_pushnil(L);
    return 1;
}

static int api_flush(lua_State *L)
{
    if (!request_flush(request_of(L)))
        return limit_raise_memory(L);
    return 0;
}

static int api_reset(lua_State *L)
{
    request_reset(request_of(L), true);
    return 0;
}

static int con_reset(lua_State *L)
{
    take_con(L);
    request_reset(request_of(L), false);
    return 0;
}

/* -- Status and headers -- */

/* Says once per call site that it came too late, instead of failing a page that is
 * already on its way. */
static bool is_too_late(struct request *r, const char *what)
{
    if (r->head_sent && !r->gone)
        log_warning("%s after the first flush has no effect", what);
    return r->head_sent;
}

static void check_header(lua_State *L, enum headers_result result, const char *name)
{
    if (result == HEADERS_TOO_LARGE) /* as the name may be */
        luaL_error(L, "%s", headers_strerror(result));
    if (result != HEADERS_OK)
        luaL_error(L, "header '%s': %s", name, headers_strerror(result));
}

static int api_header(lua_State *L)
{
    struct request *r = request_of(L);
    size_t name_len, value_len;
    const char *name = luaL_checklstring(L, 1, &name_len);
    const char *value = NULL;
    if (!lua_isnoneornil(L, 2)) {
        value = luaL_checklstring(L, 2, &value_len);
    } else {
        const char *colon = memchr(name, ':', name_len);
        luaL_argcheck(L, colon != NULL, 1, "a line \"Name: value\" expected");
        value = colon + 1;
        value_len = name_len - (size_t)(value - name);
        name_len = (size_t)(colon - name);
        if (value_len > 0 && value[value_len - 1] == '\n')
            value_len -= value_len > 1 && value[value_len - 2] == '\r' ? 2 : 1;
    }
    if (!is_too_late(r, "Header"))
        check_header(L, request_set_header(r, name, name_len, value, value_len), name);
    return 0;
}

static int api_status(lua_State *L)
{
    struct request *r = request_of(L);
    size_t len;
    const char *status = luaL_checklstring(L, 1, &len);
    if (!is_too_late(r, "RespStatus") && !request_set_status(r, status, len))
        return luaL_argerror(L, 1, "an HTTP status such as \"404 Not Found\" expected");
    return 0;
}

static int api_content_type(lua_State *L)
{
    struct request *r = request_of(L);
    size_t len;
    const char *type = luaL_checklstring(L, 1, &len);
    if (!is_too_late(r, "RespContentType"))
        check_header(L, headers_set(&r->headers, "Content-Type", 12, type, len),
                     "Content-Type");
    return 0;
}

/* -- con:config: one row per setting. `get` pushes it, `set` takes it from index 2. -- */

static void get_status(lua_State *L, struct request *r)
{
    lua_pushstring(L, r->status);
}

static void set_status(lua_State *L, struct request *r)
{
    size_t len;
    const char *status = luaL_checklstring(L, 2, &len);
    luaL_argcheck(L, request_set_status(r, status, len), 2,
                  "an HTTP status such as \"404 Not Found\" expected");
}

static void get_content_type(lua_State *L, struct request *r)
{
    size_t len;
    const char *type = headers_get(&r->headers, "Content-Type", &len);
    if (type == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, type, len);
}

static void set_content_type(lua_State *L, struct request *r)
{
    size_t len;
    const char *type = luaL_checklstring(L, 2, &len);
    check_header(L, headers_set(&r->headers, "Content-Type", 12, type, len),
                 "Content-Type");
}

static void get_buffering(lua_State *L, struct request *r)
{
    lua_pushboolean(L, r->buffering);
}

static void set_buffering(lua_State *L, struct request *r)
{
    luaL_checktype(L, 2, LUA_TBOOLEAN);
    r->buffering = lua_toboolean(L, 2);
}

static void get_headers(lua_State *L, struct request *r)
{
    struct buffer *text = lf_push_buffer(L);
    if (!headers_write(&r->headers, text))
        limit_raise_memory(L);
    lua_pushlstring(L, text->data == NULL ? "" : text->data, text->len);
    lua_remove(L, -2);
}

/* All headers anew, except the content type, which has a setting of its own. */
static void set_headers(lua_State *L, struct request *r)
{
    size_t len;
    const char *text = luaL_checklstring(L, 2, &len);
    get_content_type(L, r);
    headers_reset(&r->headers, NULL);
    if (lua_isstring(L, -1)) {
        size_t type_len;
        const char *type = lua_tolstring(L, -1, &type_len);
        headers_set(&r->headers, "Content-Type", 12, type, type_len);
    }
    lua_pop(L, 1);
    check_header(L, request_set_headers(r, text, len), "headers");
}

static int con_config(lua_State *L)
{
    static const struct {
        const char *name;
        void (*get)(lua_State *L, struct request *r);
        void (*set)(lua_State *L, struct request *r);
    } settings[] = {
        {"httpstatus", get_status, set_status},
        {"contenttype", get_content_type, set_content_type},
        {"buffering", get_buffering, set_buffering},
        {"headers", get_headers, set_headers},
    };
    take_con(L);
    struct request *r = request_of(L);
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 2);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (strcmp(settings[i].name, name) != 0)
            continue;
        settings[i].get(L, r);
        if (!lua_isnil(L, 2))
            settings[i].set(L, r);
        return 1;
    }
    luaL_argcheck(L, lua_isnil(L, 2), 1, "no such setting");
    return 1;
}

/* -- The rest -- */

static int api_log(lua_State *L)
{
    size_t len;
    const char *text = luaL_tolstring(L, 1, &len);
    log_text(LOG_LEVEL_INFO, text, len);
    return 0;
}

static int api_dir(lua_State *L)
{
    lua_pushstring(L, script_dir(script_of(L)));
    return 1;
}

struct listing {
    struct buffer *list;
    bool whole;
};

/* While the pool is walked no Lua may run, which could raise: collected first. */
static void note_script(const char *path, int states, void *arg)
{
    struct listing *l = arg;
    l->whole = l->whole && buffer_append(l->list, &states, sizeof states) &&
               buffer_append(l->list, path, strlen(path) + 1);
}

static int api_thread_data(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct buffer *list = lf_push_buffer(L);
    struct listing listing = {list, true};
    call->visit_scripts(call->pool, note_script, &listing);
    if (!listing.whole)
        return limit_raise_memory(L);
    lua_newtable(L);
    for (size_t i = 0; i < list->len;) {
        int states;
        limit_check(L);
        memcpy(&states, list->data + i, sizeof states);
        const char *path = list->data + i + sizeof states;
        i += sizeof states + strlen(path) + 1;
        lua_getfield(L, -1, path); /* one script may serve two document roots */
        states += (int)lua_tointeger(L, -1);
        lua_pop(L, 1);
        lua_pushinteger(L, states);
        lua_setfield(L, -2, path);
    }
    return 1;
}

#define METHOD(name, function)                                                           \
    static int name(lua_State *L)                                                        \
    {                                                                                    \
        take_con(L);                                                                     \
        return function(L);                                                              \
    }

METHOD(con_puts, api_send)
METHOD(con_header, api_header)
METHOD(con_flush, api_flush)
METHOD(con_log, api_log)

static const luaL_Reg functions[] = {
    {"Send", api_send},
    {"Receive", api_receive},
    {"Header", api_header},
    {"RespStatus", api_status},
    {"RespContentType", api_content_type},
    {"Reset", api_reset},
    {"Flush", api_flush},
    {"Log", api_log},
    {"ThreadData", api_thread_data},
    {"Dir", api_dir},
    {NULL, NULL},
};

static const luaL_Reg methods[] = {
    {"puts", con_puts},     {"gets", con_gets},   {"header", con_header},
    {"flush", con_flush},   {"reset", con_reset}, {"log", con_log},
    {"config", con_config}, {NULL, NULL},
};

/* -- Opening -- */

static void add_reason(int code, const char *reason, void *arg)
{
    lua_State *L = arg;
    lua_pushfstring(L, "%d %s", code, reason);
    lua_rawseti(L, -2, code);
}

static void open_values(lua_State *L, struct api *api, const struct config *config)
{
    if (!value_push(L, config->app, config->app_len))
        lua_newtable(L);
    lua_pushvalue(L, -1);
    api->config = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_setglobal(L, "Config");
    lua_createtable(L, 0, 64);
    status_visit(add_reason, L);
    lua_setglobal(L, "Response");
    lua_pushboolean(L, 1);
    lua_setglobal(L, "LUAFCGID");
    lua_pushinteger(L, LUAFCGID2_VERSION);
    lua_setglobal(L, "LUAFCGID_VERSION");
}

static void open_helpers(lua_State *L)
{
    luaL_requiref(L, "luafcgid", lf_open, 0);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "luafcgid2");
    lua_pop(L, 1);
    lua_setglobal(L, "lf");
}

static void open_con(lua_State *L)
{
    luaL_newmetatable(L, CON_TYPE);
    luaL_newlib(L, methods);
    session_api_open_con(L);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

struct api *api_open(lua_State *L, const struct config *config)
{
    struct api *api = lua_newuserdata(L, sizeof *api);
    memset(api, 0, sizeof *api);
    api->self = luaL_ref(L, LUA_REGISTRYINDEX);
    open_values(L, api, config);
    open_helpers(L);
    open_con(L);
    session_api_open(L);
    lua_pushglobaltable(L);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
    api->globals = globals_open(L, api->config);
    return api;
}

/* -- Serving -- */

static int get_raw_global(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

/* Looked up for each request: a script may replace its entry point. */
static void push_entry_point(lua_State *L, const struct config *config)
{
    const char *name = config->entrypoint;
    if (get_raw_global(L, name) != LUA_TNIL)
        return;
    lua_pop(L, 1);
    if (!config->entrypoint_set) {
        if (get_raw_global(L, "handler") != LUA_TNIL)
            return;
        lua_pop(L, 1);
        luaL_error(L, "the script has no entry point: it defines no global function '%s'",
                   name);
    }
    luaL_error(L, "the script has no entry point '%s' (Entrypoint)", name);
}

static void push_con(lua_State *L, const struct api *api)
{
    struct con *con = lua_newuserdata(L, sizeof *con);
    con->serial = api->serial;
    luaL_setmetatable(L, CON_TYPE);
}

/* Pushes what the entry point on top takes of (Env, con). Returns how many. */
static int push_arguments(lua_State *L, struct api *api)
{
    lua_Debug ar = {.nparams = 2};
    if (lua_isfunction(L, -1)) {
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">u", &ar);
    }
    int count = ar.isvararg || ar.nparams > 2 ? 2 : ar.nparams;
    if (count > 0)
        globals_push_env(L, api->globals);
    if (count > 1)
        push_con(L, api);
    return count;
}

/* A script can call this too, by debug.getinfo. */
static int serve(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct api *api = script_api(script_of(L));
    globals_begin(L, api->globals, call->request, call->worker);
    push_entry_point(L, call->request->config);
    int base = lua_gettop(L) - 1;
    lua_call(L, push_arguments(L, api), LUA_MULTRET);
    int results = 0;
    for (int i = base + 1; i <= lua_gettop(L); i++)
        if (lua_isstring(L, i)) /* numbers are strings too */
            lua_copy(L, i, ++results);
    lua_settop(L, results);
    return api_send(L);
}

bool api_serve(struct script *s, struct api_call *call, struct script_error *error)
{
    struct api *api = script_api(s);
    api->call = call;
    api->serial++;
    limit_adopt(script_limit(s), &call->request->body);
    bool ok = script_run(s, serve, error);
    limit_disown(script_limit(s), &call->request->body);
    api->call = NULL;
    globals_end(api->globals);
    return ok;
}
