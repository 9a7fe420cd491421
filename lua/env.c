/* Env, Cookies, LocalConfig and Info, made when a script asks for them.
 *
 * They are plain tables in ordinary globals. Until a script looks for one it does not
 * exist; then the metatable of the table of globals makes it. Scripts do not see that
 * metatable. When a script sets its own (modules that forbid undeclared globals do),
 * all the variables are made first, and from then on before each request.
 *
 * Runs in the thread that owns the state. */
#include "lua/env.h"

#include "base/value.h"
#include "http/cookie.h"
#include "lua/call.h"
#include "lua/guard.h"
#include "lua/state.h"

#include <lauxlib.h>
#include <string.h>

/* Parameters whose strings are kept from one request to the next. Most are the same every
 * time, and then a comparison takes the place of a new string. */
#define CACHED_PARAMS 48
#define CACHED_BYTES  512 /* of a value; longer ones are not kept */

/* Browsers keep some 200 for a site. A client could choose very many names that have the
 * same hash in Lua: then adding one costs a walk along all the others. */
#define COOKIES_MAX 1000

struct cached_param {
    const char *name, *value; /* Lua's strings; the table `cache` holds them */
    size_t name_len, value_len;
};

enum global { ENV, COOKIES, LOCAL_CONFIG, INFO, VARIABLES };

struct env {
    struct request *request;        /* NULL between requests */
    bool made[VARIABLES];           /* exists for this request */
    int cache, info, config, watch; /* in the registry: cached strings, Info, Config,
                                       and the metatable of globals */
    int worker, worker_in_info;
    bool error_in_info;
    size_t cached;               /* how many parameters may be kept */
    struct cached_param *params; /* a userdata, in `cache`; NULL: there was no Env yet */
};

/* -- Env -- */

/* Pushes name and value of parameter `i`. They come from the table at index `cache` if
 * they are the same as last time. */
static void push_param(lua_State *L, struct env *g, int cache, const struct param *p,
                       size_t i)
{
    if (i >= g->cached || p->value_len > CACHED_BYTES) {
        lua_pushlstring(L, p->name, p->name_len);
        lua_pushlstring(L, p->value, p->value_len);
        return;
    }
    struct cached_param *c = &g->params[i];
    lua_Integer slot = (lua_Integer)i * 2 + 1;
    if (c->name != NULL && c->name_len == p->name_len &&
        memcmp(c->name, p->name, p->name_len) == 0) {
        lua_rawgeti(L, cache, slot);
    } else {
        c->name = lua_pushlstring(L, p->name, p->name_len);
        c->name_len = p->name_len;
        lua_pushvalue(L, -1);
        lua_rawseti(L, cache, slot);
    }
    if (c->value != NULL && c->value_len == p->value_len &&
        memcmp(c->value, p->value, p->value_len) == 0) {
        lua_rawgeti(L, cache, slot + 1);
    } else {
        c->value = lua_pushlstring(L, p->value, p->value_len);
        c->value_len = p->value_len;
        lua_pushvalue(L, -1);
        lua_rawseti(L, cache, slot + 1);
    }
}

/* Pushes the table `cache`, which has room for `count` parameters, or for all that are
 * kept at most. A script that never looks at Env has none. */
static void push_cache(lua_State *L, struct env *g, size_t count)
{
    size_t wanted = count < CACHED_PARAMS ? count : CACHED_PARAMS;
    if (g->params != NULL && g->cached >= wanted) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, g->cache);
        return;
    }
    size_t size = wanted * sizeof *g->params;
    lua_createtable(L, (int)wanted * 2 + 1, 0);
    struct cached_param *params = lua_newuserdata(L, size);
    memset(params, 0, size);
    lua_rawseti(L, -2, (lua_Integer)wanted * 2 + 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, LUA_REGISTRYINDEX, g->cache);
    g->params = params;
    g->cached = wanted;
}

static void make_env(lua_State *L, struct env *g)
{
    size_t count;
    const struct param *params = request_params(g->request, &count);
    push_cache(L, g, count);
    int cache = lua_gettop(L);
    lua_createtable(L, 0, (int)count + 2);
    for (size_t i = 0; i < count; i++) {
        push_param(L, g, cache, &params[i], i);
        lua_rawset(L, cache + 1);
    }
    lua_pushliteral(L, "LUAFCGID_VERSION");
    lua_pushinteger(L, LUAFCGID2_VERSION);
    lua_rawset(L, cache + 1);
    if (request_param(g->request, PARAM_REQUEST_ID)[0] == '\0') {
        lua_pushliteral(L, "REQUEST_ID");
        lua_pushstring(L, request_id(g->request));
        lua_rawset(L, cache + 1);
    }
    lua_remove(L, cache);
}

/* -- The others -- */

/* The first of two cookies with the same name counts: it is the more specific one. */
static void make_cookies(lua_State *L, struct env *g)
{
    const char *header = request_param(g->request, PARAM_HTTP_COOKIE);
    struct cookie cookie;
    lua_newtable(L);
    for (int i = 0; i < COOKIES_MAX && cookie_next(&header, &cookie); i++) {
        lua_pushlstring(L, cookie.name, cookie.name_len);
        lua_pushvalue(L, -1);
        if (lua_rawget(L, -3) == LUA_TNIL) {
            lua_pop(L, 1);
            lua_pushlstring(L, cookie.value, cookie.value_len);
            lua_rawset(L, -3);
        } else {
            lua_pop(L, 2);
        }
    }
}

static void make_local_config(lua_State *L, struct env *g)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, g->config);
    lua_pushstring(L, request_param(g->request, PARAM_SERVER_NAME));
    lua_rawget(L, -2);
    lua_remove(L, -2);
}

/* Sets Error in the table on top, for a script that answers an error. */
static void set_error(lua_State *L, struct env *g)
{
    const struct call_failure *failure = call_of(L)->failure;
    if (failure == NULL && !g->error_in_info)
        return;
    if (failure == NULL) {
        lua_pushnil(L);
    } else {
        lua_createtable(L, 0, 2);
        lua_pushinteger(L, failure->status);
        lua_setfield(L, -2, "Status");
        lua_pushstring(L, failure->message != NULL ? failure->message : "");
        lua_setfield(L, -2, "Message");
    }
    lua_setfield(L, -2, "Error");
    g->error_in_info = failure != NULL;
}

/* One table serves all requests of the state: what it says hardly ever changes. */
static void make_info(lua_State *L, struct env *g)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, g->info);
    set_error(L, g);
    if (g->worker_in_info == g->worker)
        return;
    lua_pushinteger(L, state_id(state_of(L)));
    lua_setfield(L, -2, "State");
    lua_pushinteger(L, g->worker);
    lua_setfield(L, -2, "Thread");
    g->worker_in_info = g->worker;
}

static const struct {
    const char *name;
    void (*make)(lua_State *L, struct env *g); /* pushes the value */
} variables[VARIABLES] = {
    [ENV] = {"Env", make_env},
    [COOKIES] = {"Cookies", make_cookies},
    [LOCAL_CONFIG] = {"LocalConfig", make_local_config},
    [INFO] = {"Info", make_info},
};

/* -- On demand -- */

/* Makes a variable and pushes its value. Uses raw access, as a script may guard its
 * globals. */
static void set(lua_State *L, struct env *g, enum global v)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, variables[v].name);
    variables[v].make(L, g);
    g->made[v] = true;
    lua_pushvalue(L, -1);
    lua_insert(L, -4);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Pushes the value of a variable, or nil. Returns its type. */
static int get(lua_State *L, enum global v)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, variables[v].name);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

/* Makes the variables that nobody asked for yet, except those that the script has set. */
static void set_missing(lua_State *L, struct env *g)
{
    for (enum global v = 0; v < VARIABLES && g->request != NULL; v++) {
        if (g->made[v])
            continue;
        bool missing = get(L, v) == LUA_TNIL;
        lua_pop(L, 1);
        if (missing) {
            set(L, g, v);
            lua_pop(L, 1);
        }
    }
}

static struct env *upvalue(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* __index: (globals, key). */
static int find(lua_State *L)
{
    struct env *g = upvalue(L);
    if (g->request == NULL || lua_type(L, 2) != LUA_TSTRING)
        return 0;
    const char *name = lua_tostring(L, 2);
    for (enum global v = 0; v < VARIABLES; v++) {
        if (!g->made[v] && strcmp(name, variables[v].name) == 0) {
            set(L, g, v);
            return 1;
        }
    }
    return 0;
}

/* __pairs: makes all variables first, so that they are seen. Its second upvalue is
 * next. */
static int each(lua_State *L)
{
    set_missing(L, upvalue(L));
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_pushglobaltable(L);
    lua_pushnil(L);
    return 3;
}

/* Called before a script's own metatable takes the place of this one (lua/guard.h). */
static int reveal(lua_State *L)
{
    set_missing(L, upvalue(L));
    return 0;
}

static bool is_watched(lua_State *L, struct env *g)
{
    lua_pushglobaltable(L);
    bool watched = false;
    if (lua_getmetatable(L, -1)) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, g->watch);
        watched = lua_rawequal(L, -1, -2);
        lua_pop(L, 2);
    }
    lua_pop(L, 1);
    return watched;
}

/* -- For the API -- */

void env_begin(lua_State *L, struct env *g, struct request *request, int worker)
{
    g->request = request;
    g->worker = worker;
    bool watched = is_watched(L, g);
    for (enum global v = 0; v < VARIABLES; v++) {
        if (watched) {
            g->made[v] = false;
            lua_pushnil(L);
            lua_setglobal(L, variables[v].name);
        } else {
            set(L, g, v);
            lua_pop(L, 1);
        }
    }
}

void env_end(struct env *g)
{
    g->request = NULL;
}

void env_push_env(lua_State *L, struct env *g)
{
    if (get(L, ENV) == LUA_TNIL) {
        lua_pop(L, 1);
        set(L, g, ENV);
    }
}

static void open_watch(lua_State *L, struct env *g)
{
    lua_createtable(L, 0, 3);
    lua_pushlightuserdata(L, g);
    lua_pushcclosure(L, find, 1);
    lua_setfield(L, -2, "__index");
    lua_pushlightuserdata(L, g);
    lua_getglobal(L, "next");
    lua_pushcclosure(L, each, 2);
    lua_setfield(L, -2, "__pairs");
    lua_pushlightuserdata(L, g);
    lua_pushcclosure(L, reveal, 1);
    lua_setfield(L, -2, GUARD_REVEAL);
    lua_pushvalue(L, -1);
    g->watch = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushglobaltable(L);
    lua_insert(L, -2);
    guard_set_hidden_metatable(L);
    lua_pop(L, 1);
}

/* Sets the global Config, and keeps a reference to it for LocalConfig. */
static int open_config(lua_State *L, const struct config *config)
{
    if (!value_push(L, config->app, config->app_len))
        lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setglobal(L, "Config");
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

struct env *env_open(lua_State *L, const struct config *config)
{
    struct env *g = lua_newuserdata(L, sizeof *g);
    memset(g, 0, sizeof *g);
    luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushboolean(L, 0);
    g->cache = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, config->data_dir);
    lua_setfield(L, -2, "DataDir");
    g->info = luaL_ref(L, LUA_REGISTRYINDEX);
    g->config = open_config(L, config);
    open_watch(L, g);
    return g;
}
