/* The hooks of a configuration, which run in the Lua state in which its file has run.
 * All that may raise an error is done in protected calls, under the limits of the
 * engine. Runs on the thread that owns the hooks; no locks. */
#include "config/hook.h"

#include "config/child.h"
#include "config/spare.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdlib.h>
#include <string.h>

#define MESSAGE_MAX (16 * 1024) /* bytes of an error, with its traceback */

struct config_hooks {
    struct engine *engine;
    const struct config_library *library;
    bool opened;   /* the library's functions are there */
    size_t memory; /* bytes that it may have; 0: no limit */
};

/* What a protected call is to do. */
struct job {
    struct config_hooks *hooks;
    const struct config *config;
    const char *name, *why; /* of the hook; and its argument */
    bool failed;
};

const char *hook_name(enum config_hook hook)
{
    static const char *const names[] = {"OnStart", "OnHeartbeat", "OnStop"};
    return names[hook];
}

static bool has_hooks(const struct config *c)
{
    return c->on_start || c->on_heartbeat || c->on_stop;
}

struct config_hooks *hook_take(struct engine *engine, const struct config *config,
                               const struct config_library *library, bool *out_of_memory)
{
    struct config_hooks *h = has_hooks(config) ? calloc(1, sizeof *h) : NULL;
    *out_of_memory = has_hooks(config) && h == NULL;
    if (h == NULL) {
        engine_destroy(engine);
        return NULL;
    }
    h->engine = engine;
    engine->owner = h;
    h->library = library;
    h->memory = (size_t)config->script_memory_limit;
    return h;
}

void hook_free(struct config_hooks *h)
{
    if (h == NULL)
        return;
    engine_destroy(h->engine);
    free(h);
}

void hook_hurry(struct config_hooks *h, int64_t time)
{
    engine_hurry(h->engine, time);
}

/* -- Errors -- */

/* The message handler: makes a text of any value, with a traceback. */
static int add_traceback(lua_State *L)
{
    lua_settop(L, 1);
    if (luaL_getmetafield(L, 1, "__tostring") != LUA_TNIL || lua_isstring(L, 1))
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    luaL_traceback(L, L, lua_tostring(L, -1), 1);
    return 1;
}

/* Copies the error on top; with LUA_OK the time is over and there is none. */
static void describe(struct engine *e, int status, struct buffer *error)
{
    char late[64];
    size_t len = 0;
    const char *text = status == LUA_OK ? NULL : lua_tolstring(e->L, -1, &len);
    if (status == LUA_ERRMEM ||
        (text != NULL && strstr(text, "not enough memory") != NULL && e->max > 0)) {
        buffer_printf(error, "needs more than %zu KiB of memory (ScriptMemoryLimit)",
                      e->max / 1024);
    } else if (text == NULL) {
        engine_describe_late(e, late, sizeof late);
        buffer_puts(error, late);
    } else {
        buffer_append(error, text, len < MESSAGE_MAX ? len : MESSAGE_MAX);
    }
}

/* Runs the job by `body` in a protected call. */
static bool run(struct job *job, lua_CFunction body, struct buffer *error)
{
    struct engine *e = job->hooks->engine;
    lua_settop(e->L, 0);
    lua_pushcfunction(e->L, add_traceback);
    lua_pushcfunction(e->L, body);
    lua_pushlightuserdata(e->L, job);
    int status = lua_pcall(e->L, 1, 0, 1);
    bool good = status == LUA_OK && !e->late;
    if (!good)
        describe(e, status, error);
    lua_settop(e->L, 0);
    return good;
}

/* -- What hooks may call -- */

/* Says which locale there is. Setting another would be felt by the whole process. */
static int os_setlocale(lua_State *L)
{
    const char *wanted = luaL_optstring(L, 1, NULL);
    bool same = wanted == NULL || strcmp(wanted, "C") == 0 || wanted[0] == '\0';
    lua_pushstring(L, same ? "C" : NULL);
    return 1;
}

static int open_body(lua_State *L)
{
    const struct job *job = lua_touserdata(L, 1);
    child_replace(L);
    spare_replace(L);
    if (lua_getglobal(L, LUA_OSLIBNAME) == LUA_TTABLE) {
        lua_pushcfunction(L, os_setlocale);
        lua_setfield(L, -2, "setlocale");
    }
    lua_settop(L, 0);
    job->hooks->opened = true;
    job->hooks->library->open(L, job->config);
    return 0;
}

bool hook_open(struct config_hooks *h, const struct config *config, struct buffer *error)
{
    struct job job = {.hooks = h, .config = config};
    engine_limit(h->engine, 0, 0); /* what the file has used is not the hooks' fault */
    return run(&job, open_body, error);
}

/* -- Calling -- */

/* Raw access: a file may give its globals a metatable that refuses unknown names. */
static int call_body(lua_State *L)
{
    const struct job *job = lua_touserdata(L, 1);
    lua_settop(L, 0);
    lua_pushglobaltable(L);
    lua_pushstring(L, job->name);
    if (lua_rawget(L, 1) == LUA_TNIL)
        return 0;
    lua_pushstring(L, job->why);
    lua_call(L, 1, 0);
    return 0;
}

static int end_body(lua_State *L)
{
    const struct job *job = lua_touserdata(L, 1);
    if (job->failed) /* its memory may be full of what it made */
        lua_gc(L, LUA_GCCOLLECT, 0);
    if (job->hooks->opened)
        job->hooks->library->end(L);
    return 0;
}

bool hook_call(struct config_hooks *h, enum config_hook hook, const char *why,
               int64_t timeout, struct buffer *error)
{
    struct job job = {.hooks = h, .name = hook_name(hook), .why = why};
    if (hook == CONFIG_ON_STOP)
        engine_calm(h->engine);
    engine_limit(h->engine, h->memory, timeout);
    job.failed = !run(&job, call_body, error);
    if (!job.failed && engine_left(h->engine) == 0) { /* it was in C, such as a read */
        job.failed = true;
        describe(h->engine, LUA_OK, error);
    }
    engine_limit(h->engine, 0, 0);
    struct buffer ignored = {0};
    run(&job, end_body, &ignored);
    buffer_free(&ignored);
    return !job.failed;
}
