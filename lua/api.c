/* What scripts see of the daemon: values, functions and the methods of `con`.
 *
 * v1's methods and v2's functions are rows of two tables that share their code: a method
 * has `con` as its first argument, checked to be the present request's. The shared code
 * is told which argument is its first, so that the errors of both count as Lua does. A
 * state's share of this room, struct api, is memory of Lua's own. */
#include "lua/api.h"

#include "base/log.h"
#include "base/value.h"
#include "http/status.h"
#include "lua/env.h"
#include "lua/lf.h"
#include "lua/limit.h"
#include "lua/session_api.h"
#include "lua/state.h"

#include <lauxlib.h>
#include <lualib.h>
#include <string.h>

#define CON_TYPE "luafcgid2.con"

struct api {
    int config; /* registry: Config */
    struct globals *globals;
};

struct con {
    unsigned serial;
};

/* -- Finding the request -- */

static struct request *request_of(lua_State *L)
{
    return call_of(L)->request;
}

/* For a method, whose own arguments begin at 2. */
static void check_con(lua_State *L)
{
    struct con *con = luaL_checkudata(L, 1, CON_TYPE);
    if (con->serial != call_serial(L)) /* no con has the number 0 */
        luaL_error(L, "this connection belongs to a request that is over");
}

/* -- The body -- */

static void send_one(lua_State *L, int index)
{
    struct request *r = request_of(L);
    size_t len;
    const char *s = luaL_checklstring(L, index, &len);
    if (!request_send(r, s, len))
        limit_raise_memory(L);
}

static int api_send(lua_State *L)
{
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++)
        send_one(L, i);
    return 0;
}

/* One argument, and no complaint about more: con:puts(s:gsub(...)) sends no count. */
static int con_puts(lua_State *L)
{
    check_con(L);
    if (!lua_isnone(L, 2))
        send_one(L, 2);
    return 0;
}

/* Pushes the body, or at most `max` bytes of it. */
static void push_body(lua_State *L, struct request *r, size_t max)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t want = LUAL_BUFFERSIZE, total = 0;
    int64_t left = request_body_left(r);
    if (left > 0 && left < 1 << 30)
        want = (size_t)left;
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
    if (request_body_too_large(r))
        luaL_error(L, "the body is larger than MaxPostSize");
    if (request_body_failed(r))
        luaL_error(L, "the body did not arrive whole");
}

/* All that is left, as for io.read: "a", "*a". */
static bool is_all(lua_State *L, int index)
{
    if (lua_type(L, index) != LUA_TSTRING)
        return lua_isnoneornil(L, index);
    const char *format = lua_tostring(L, index);
    return *(format + (*format == '*')) == 'a';
}

static int receive(lua_State *L, int first)
{
    lua_Integer max = is_all(L, first) ? LUA_MAXINTEGER : luaL_checkinteger(L, first);
    luaL_argcheck(L, max >= 0, first, "a number of bytes expected");
    size_t bound = (lua_Unsigned)max > SIZE_MAX ? SIZE_MAX : (size_t)max;
    push_body(L, request_of(L), bound);
    return 1;
}

/* luafcgid read all, whatever the argument was. */
static int con_gets(lua_State *L)
{
    check_con(L);
    if (!lua_isnumber(L, 2))
        lua_settop(L, 1);
    bool none_wanted = lua_isinteger(L, 2) && lua_tointeger(L, 2) == 0;
    receive(L, 2);
    if (lua_rawlen(L, -1) == 0 && !none_wanted)
        lua_pushnil(L);
    return 1;
}

static int api_flush(lua_State *L)
{
    struct request *r = request_of(L);
    if (!request_flush(r))
        return limit_raise_memory(L);
    lua_pushboolean(L, !request_is_gone(r));
    return 1;
}

static int api_reset(lua_State *L)
{
    request_reset(request_of(L), true);
    return 0;
}

static int con_reset(lua_State *L)
{
    check_con(L);
    request_reset(request_of(L), false);
    return 0;
}

/* -- Status and headers -- */

/* Says that it came too late, instead of failing a page that is already on its way. */
static bool is_too_late(struct request *r, const char *what)
{
    bool late = request_head_sent(r);
    if (late && !request_is_gone(r))
        log_warning("%s after the first flush has no effect", what);
    return late;
}

static void check_header(lua_State *L, enum headers_result result, const char *name)
{
    if (result == HEADERS_TOO_LARGE) /* as the name may be */
        luaL_error(L, "%s", headers_strerror(result));
    if (result != HEADERS_OK)
        luaL_error(L, "header '%s': %s", name, headers_strerror(result));
}

/* As luaL_checklstring, but 404.0, as a JSON library or a division gives it, is 404. */
static const char *check_text(lua_State *L, int index, size_t *len)
{
    int is_whole = 0;
    if (lua_type(L, index) == LUA_TNUMBER && !lua_isinteger(L, index)) {
        lua_Integer n = lua_tointegerx(L, index, &is_whole);
        if (is_whole) {
            lua_pushinteger(L, n);
            lua_replace(L, index);
        }
    }
    return luaL_checklstring(L, index, len);
}

static void set_header(lua_State *L, struct request *r, const char *name, size_t name_len,
                       const char *value, size_t value_len)
{
    if (!is_too_late(r, "a header"))
        check_header(L, request_set_header(r, name, name_len, value, value_len), name);
}

/* "Name: value", with or without a line's end. */
static void set_header_line(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *line = luaL_checklstring(L, index, &len);
    const char *colon = memchr(line, ':', len);
    luaL_argcheck(L, colon != NULL, index, "a line \"Name: value\" expected");
    size_t name_len = (size_t)(colon - line), value_len = len - name_len - 1;
    if (value_len > 0 && line[len - 1] == '\n')
        value_len -= value_len > 1 && line[len - 2] == '\r' ? 2 : 1;
    set_header(L, r, line, name_len, colon + 1, value_len);
}

static void set_header_table(lua_State *L, struct request *r, int index)
{
    lua_settop(L, index);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        size_t name_len, value_len;
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_isstring(L, -1), index,
                      "a table of names and values expected");
        const char *name = lua_tolstring(L, -2, &name_len);
        const char *value = check_text(L, lua_gettop(L), &value_len);
        set_header(L, r, name, name_len, value, value_len);
        lua_pop(L, 1);
    }
}

static int header(lua_State *L, int first)
{
    struct request *r = request_of(L);
    if (lua_istable(L, first)) {
        set_header_table(L, r, first);
    } else if (lua_isnoneornil(L, first + 1)) {
        set_header_line(L, r, first);
    } else {
        size_t name_len, value_len;
        const char *name = luaL_checklstring(L, first, &name_len);
        const char *value = check_text(L, first + 1, &value_len);
        set_header(L, r, name, name_len, value, value_len);
    }
    return 0;
}

/* Without an argument luafcgid did nothing, and said nothing. */
static int con_header(lua_State *L)
{
    check_con(L);
    return lua_isnone(L, 2) ? 0 : header(L, 2);
}

static void set_status(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *status = check_text(L, index, &len);
    if (!is_too_late(r, "a status"))
        luaL_argcheck(L, request_set_status(r, status, len), index,
                      "an HTTP status from 200 to 599 expected, as \"404 Not Found\"");
}

static int api_status(lua_State *L)
{
    set_status(L, request_of(L), 1);
    return 0;
}

static void set_content_type(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *type = luaL_checklstring(L, index, &len);
    set_header(L, r, "Content-Type", 12, type, len);
}

static int api_content_type(lua_State *L)
{
    set_content_type(L, request_of(L), 1);
    return 0;
}

/* -- con:config: one row per setting. `get` pushes it, `set` takes it from `index`. -- */

static void get_status(lua_State *L, struct request *r)
{
    lua_pushstring(L, request_status(r));
}

static void get_content_type(lua_State *L, struct request *r)
{
    size_t len;
    const char *type = request_header(r, "Content-Type", &len);
    if (type == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, type, len);
}

static void get_buffering(lua_State *L, struct request *r)
{
    lua_pushboolean(L, request_is_buffering(r));
}

static void set_buffering(lua_State *L, struct request *r, int index)
{
    luaL_checktype(L, index, LUA_TBOOLEAN);
    request_set_buffering(r, lua_toboolean(L, index));
}

static void get_headers(lua_State *L, struct request *r)
{
    struct buffer *text = lf_push_buffer(L);
    if (!request_write_headers(r, text))
        limit_raise_memory(L);
    lua_pushlstring(L, text->data == NULL ? "" : text->data, text->len);
    lua_remove(L, -2);
}

static void set_headers(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    if (!is_too_late(r, "a header"))
        check_header(L, request_replace_headers(r, text, len), "headers");
}

/* What luafcgid did not know it took without a word, and gave nothing back. */
static int con_config(lua_State *L)
{
    static const struct {
        const char *name;
        void (*get)(lua_State *L, struct request *r);
        void (*set)(lua_State *L, struct request *r, int index);
    } settings[] = {
        {"httpstatus", get_status, set_status},
        {"contenttype", get_content_type, set_content_type},
        {"buffering", get_buffering, set_buffering},
        {"headers", get_headers, set_headers},
    };
    check_con(L);
    if (lua_isnone(L, 2))
        return 0;
    struct request *r = request_of(L);
    const char *name = luaL_checkstring(L, 2);
    lua_settop(L, 3);
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        if (strcmp(settings[i].name, name) != 0)
            continue;
        settings[i].get(L, r);
        if (!lua_isnil(L, 3))
            settings[i].set(L, r, 3);
        return 1;
    }
    log_debug("con:config: there is no setting '%s'", name);
    lua_pushnil(L);
    return 1;
}

/* -- The rest -- */

/* Any values, one after the other, as one line; nothing for no value at all. */
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

static int con_parse(lua_State *L)
{
    check_con(L);
    luaL_optstring(L, 2, NULL); /* its error is to count as a method's */
    lua_remove(L, 1);
    return lf_parse(L);
}

static int api_dir(lua_State *L)
{
    lua_pushstring(L, state_dir(state_of(L)));
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
    struct call *call = call_of(L);
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

#define FUNCTION(name, both)                                                             \
    static int name(lua_State *L)                                                        \
    {                                                                                    \
        return both(L, 1);                                                               \
    }

#define METHOD(name, both)                                                               \
    static int name(lua_State *L)                                                        \
    {                                                                                    \
        check_con(L);                                                                    \
        return both(L, 2);                                                               \
    }

FUNCTION(api_receive, receive)
FUNCTION(api_header, header)
FUNCTION(api_log, write_log)
METHOD(con_log, write_log)

static int con_flush(lua_State *L)
{
    check_con(L);
    return api_flush(L);
}

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
    {"config", con_config}, {"parse", con_parse}, {NULL, NULL},
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
    luaL_ref(L, LUA_REGISTRYINDEX);
    open_values(L, api, config);
    open_helpers(L);
    open_con(L);
    session_api_open(L);
    lua_pushglobaltable(L);
    luaL_setfuncs(L, functions, 0);
    lua_pop(L, 1);
    api->globals = env_open(L, api->config);
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

static void push_con(lua_State *L)
{
    struct con *con = lua_newuserdata(L, sizeof *con);
    con->serial = call_serial(L);
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
        env_push_env(L, api->globals);
    if (count > 1)
        push_con(L);
    return count;
}

/* A script can call this too, by debug.getinfo. */
static int serve(lua_State *L)
{
    struct call *call = call_of(L);
    struct api *api = state_api(state_of(L));
    env_begin(L, api->globals, call->request, call->worker);
    push_entry_point(L, request_config(call->request));
    lua_call(L, push_arguments(L, api), 1);
    if (lua_isstring(L, -1) && !request_has_sent(call->request)) /* or a number */
        send_one(L, -1);
    return 0;
}

bool api_serve(struct script *s, struct call *call, struct script_error *error)
{
    struct api *api = state_api(s);
    call_begin(s, call);
    struct buffer *body = request_buffer(call->request);
    limit_adopt(state_limit(s), body);
    bool ok = state_run(s, serve, error);
    limit_disown(state_limit(s), body);
    call_end(s);
    env_end(api->globals);
    return ok;
}
