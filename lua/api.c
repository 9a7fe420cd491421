/* What scripts see of the daemon, put together: the list of all facilities, and the call
 * of a script's entry point. Runs in the thread that owns the state. */
#include "lua/api.h"

#include "lua/body_api.h"
#include "lua/builtin.h"
#include "lua/channel_api.h"
#include "lua/con.h"
#include "lua/cookie_api.h"
#include "lua/csrf_api.h"
#include "lua/encode_api.h"
#include "lua/env.h"
#include "lua/event_api.h"
#include "lua/form_api.h"
#include "lua/http_api.h"
#include "lua/info_api.h"
#include "lua/json_api.h"
#include "lua/limit.h"
#include "lua/log_api.h"
#include "lua/password_api.h"
#include "lua/response_api.h"
#include "lua/secret_api.h"
#include "lua/sendfile_api.h"
#include "lua/serialize_api.h"
#include "lua/session_api.h"
#include "lua/shared_api.h"
#include "lua/template_api.h"
#include "lua/url_api.h"
#include "lua/wait_api.h"

#include <lauxlib.h>

/* All that scripts can call, by the file that holds it. lua/facility.h says what a file
 * has to have. */
static const struct facility *const facilities[] = {
    &response_api_statuses,
    &response_api,
    &body_api,
    &log_api,
    &info_api,
    &session_api,
    &url_api,
    &serialize_api,
    &encode_api,
    &secret_api,
    &http_api,
    &wait_api,
    &cookie_api,
    &event_api,
    &password_api,
    &channel_api,
    &sendfile_api,
    &form_api,
    &json_api,
    &template_api,
    &csrf_api,
    &shared_api,
    NULL,
};

/* Makes `lf` known to require, under its name in each version. */
static void open_modules(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getglobal(L, "lf");
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "luafcgid");
    lua_setfield(L, -2, "luafcgid2");
    lua_pop(L, 1);
}

struct env *api_open(lua_State *L, const struct config *config)
{
    con_open(L);
    facility_open(L, facilities, config);
    open_modules(L);
    builtin_open(L);
    return env_open(L, config);
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

/* Looks the entry point up for each request, as a script may replace it. */
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

/* Pushes those of the arguments Env and con that the entry point on top takes. Returns
 * how many. */
static int push_arguments(lua_State *L, struct env *env)
{
    lua_Debug ar = {.nparams = 2};
    if (lua_isfunction(L, -1)) {
        lua_pushvalue(L, -1);
        lua_getinfo(L, ">u", &ar);
    }
    int count = ar.isvararg || ar.nparams > 2 ? 2 : ar.nparams;
    if (count > 0)
        env_push_env(L, env);
    if (count > 1)
        con_push(L);
    return count;
}

static int served(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    if (status != LUA_OK && status != LUA_YIELD)
        return 1;
    if (lua_isstring(L, -1) && !request_has_sent(call_of(L)->request)) /* a number, too */
        response_api_append(L, -1);
    return 0;
}

/* A script can call this function as well: debug.getinfo gives it. */
static int serve(lua_State *L)
{
    struct call *call = call_of(L);
    struct env *env = state_env(state_of(L));
    lua_settop(L, 0);
    env_begin(L, env, call->request, call->worker);
    lua_pushcfunction(L, state_add_traceback);
    push_entry_point(L, request_config(call->request));
    int count = push_arguments(L, env);
    return served(L, lua_pcallk(L, count, 1, 1, 0, served), 0);
}

/* While the script waits, the state keeps all of the request. */
static bool settle(struct script *s, struct call *call, enum state_outcome outcome)
{
    call->waits = outcome == STATE_WAITS;
    if (call->waits)
        return true;
    limit_disown(state_limit(s), request_buffer(call->request));
    call_end(s);
    env_end(state_env(s));
    return outcome != STATE_FAILED;
}

bool api_serve(struct script *s, struct call *call, struct script_error *error)
{
    call_begin(s, call);
    limit_adopt(state_limit(s), request_buffer(call->request));
    return settle(s, call, state_run(s, serve, call->operations != NULL, error));
}

bool api_go_on(struct script *s, struct call *call, struct script_error *error)
{
    return settle(s, call, state_go_on(s, error));
}
