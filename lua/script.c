/* Scripts: a file is compiled, and states are made from it, collected and closed.
 *
 * The thread that has a state checked out owns it. The states of a script share its
 * compiled code, which is immutable and counted. So no lock is needed here. This file
 * is at the top of its folder and puts the other files together; lua/state.c is at the
 * bottom. */
#include "lua/script.h"

#include "base/buffer.h"
#include "base/log.h"
#include "lua/api.h"
#include "lua/chunk.h"
#include "lua/directory.h"
#include "lua/fault.h"
#include "lua/guard.h"
#include "lua/handle.h"
#include "lua/library.h"
#include "lua/limit.h"
#include "lua/module.h"
#include "lua/source.h"
#include "lua/state_fields.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Garbage that a state may have before it is collected between requests. Lua's own
 * collector starts at twice that, so it starts only in a request that makes much. */
#define GARBAGE_BYTES (128 * 1024)

struct script_code {
    atomic_uint references;
    char *path;
    struct source_ref source;
    struct buffer bytecode;
    struct script_error error; /* status 0: it compiled */
};

/* A state, and what is kept with it by files above lua/state.c. */
struct whole {
    struct script state; /* first, as others have pointers to it */
    struct handles handles;
    struct script_code *code;
    bool started; /* it is loaded, and OnStateStart has run */
};

static struct whole *whole_of(struct script *s)
{
    return (struct whole *)s;
}

/* -- Code -- */

static int status_of_errno(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR:
    case EISDIR:
    case ELOOP:
    case ENAMETOOLONG:
    case ENXIO: /* a socket, or a FIFO without a reader */
    case EINVAL:
        return 404;
    case EACCES:
    case EPERM:
        return 403;
    default:
        return 500;
    }
}

static int append_bytecode(lua_State *L, const void *data, size_t len, void *buffer)
{
    (void)L;
    return buffer_append(buffer, data, len) ? 0 : 1;
}

struct compilation {
    struct script_code *code;
    const struct buffer *text;
};

static int compile(lua_State *L)
{
    struct compilation *c = lua_touserdata(L, 1);
    lua_pushfstring(L, "@%s", c->code->path);
    if (state_load_text(L, c->text, lua_tostring(L, -1), "t") != LUA_OK)
        return lua_error(L);
    if (lua_dump(L, append_bytecode, &c->code->bytecode, 0) != 0)
        return luaL_error(L, "out of memory");
    return 0;
}

static void note_error(struct script_code *code, const char *message)
{
    struct fault fault = {0};
    state_set_error(&code->error, 500, message);
    fault_look(&fault, message, code->path, code->path);
    state_set_fault(&code->error, fault.path, fault.line);
}

/* Returns false with `error` filled when there was no time to compile; another request
 * may have more. */
static bool compile_text(struct script_code *code, const struct buffer *text,
                         const struct config *config, struct script_error *error)
{
    struct limit limit = {.max = (size_t)config->script_memory_limit, .name = code->path};
    lua_State *L = limit_newstate(&limit);
    if (L == NULL) {
        state_set_error(&code->error, 500, "out of memory");
        return true;
    }
    struct compilation c = {code, text};
    lua_pushcfunction(L, compile);
    lua_pushlightuserdata(L, &c);
    limit_enter(&limit);
    bool ok = lua_pcall(L, 1, 0, 0) == LUA_OK;
    limit_leave(&limit);
    bool late = limit_broken(&limit) == LIMIT_TIME;
    if (late)
        state_set_error(
            error, 504,
            "time limit exceeded (RequestTimeout) while the script was compiled");
    else if (!ok)
        note_error(code, lua_tostring(L, -1));
    limit_close(&limit, NULL);
    return !late;
}

struct script_code *script_compile(const char *path, const struct config *config,
                                   struct script_error *error)
{
    struct buffer text = {0};
    struct script_code *code = calloc(1, sizeof *code);
    if (code == NULL || (code->path = strdup(path)) == NULL) {
        state_set_error(error, 500, strerror(ENOMEM));
        free(code);
        return NULL;
    }
    atomic_init(&code->references, 1);
    int failure = source_read(path, config->script_root, &code->source, &text);
    if (failure != 0)
        state_set_error(error, status_of_errno(failure), strerror(failure));
    bool ok = failure == 0 && compile_text(code, &text, config, error);
    buffer_free(&text);
    if (ok)
        return code;
    script_code_unref(code);
    return NULL;
}

const struct script_error *script_code_error(const struct script_code *code)
{
    return code->error.status == 0 ? NULL : &code->error;
}

struct script_code *script_code_ref(struct script_code *code)
{
    atomic_fetch_add_explicit(&code->references, 1, memory_order_relaxed);
    return code;
}

void script_code_unref(struct script_code *code)
{
    if (code == NULL ||
        atomic_fetch_sub_explicit(&code->references, 1, memory_order_acq_rel) != 1)
        return;
    source_release(&code->source);
    buffer_free(&code->bytecode);
    state_error_clear(&code->error);
    free(code->path);
    free(code);
}

bool script_code_is_current(const struct script_code *code)
{
    return source_is_current(&code->source);
}

/* -- Garbage -- */

/* Lua's collector starts again when memory has grown to `pause` percent of what was in
 * use after the last cycle. This turns GARBAGE_BYTES into such a percentage. */
static int collect(lua_State *L)
{
    struct script *s = state_of(L);
    size_t pause = 200 + GARBAGE_BYTES * 2 * 100 / (s->limit.used + 1);
    lua_gc(L, LUA_GCSETPAUSE, (int)pause);
    guard_finalizers(L);
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

static void collect_now(struct script *s)
{
    struct script_error error = {0};
    lua_pushcfunction(s->L, collect);
    if (!state_pcall(s, &error)) { /* a finalizer failed */
        struct buffer text = {0};
        const char *why = error.message == NULL ? "out of memory" : error.message;
        buffer_printf(&text, "error while collecting garbage: %s", why);
        bool whole = buffer_append(&text, "", 1);
        log_trace(LOG_LEVEL_ERROR, whole ? text.data : why);
        buffer_free(&text);
    }
    state_error_clear(&error);
    s->garbage_base = s->limit.used;
    handle_collected(s->handles);
}

void script_collect(struct script *s)
{
    bool due =
        s->limit.used >= s->garbage_base + GARBAGE_BYTES || handle_is_due(s->handles);
    if (due && state_is_usable(s))
        collect_now(s);
}

/* -- Making a state -- */

/* Calls the global function that an option names, if there is one. */
static void call_hook(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    if (name[0] != '\0' && lua_rawget(L, -2) != LUA_TNIL)
        lua_call(L, 0, 0);
    lua_settop(L, 0);
}

static int call_stop(lua_State *L)
{
    lua_settop(L, 0);
    call_hook(L, state_of(L)->config->on_state_stop);
    return 0;
}

/* Within the limits of closing. An error is nobody's but the log's. */
static void stop(lua_State *L)
{
    struct script *s = state_of(L);
    if (s->config->on_state_stop[0] == '\0')
        return;
    lua_settop(L, 0);
    lua_pushcfunction(L, state_add_traceback);
    lua_pushcfunction(L, call_stop);
    if (lua_pcall(L, 0, 0, 1) != LUA_OK) {
        enum limit_kind kind = limit_broken(&s->limit);
        struct buffer text = {0};
        const char *why = kind != LIMIT_NONE ? limit_message(kind) : lua_tostring(L, -1);
        buffer_printf(&text, "OnStateStop of %s: %s", s->path, why == NULL ? "?" : why);
        if (kind != LIMIT_EXIT && buffer_append(&text, "", 1))
            log_trace(LOG_LEVEL_ERROR, text.data);
        buffer_free(&text);
    }
    lua_settop(L, 0);
    state_flush(s);
}

static int set_up(lua_State *L)
{
    struct script *s = state_of(L);
    if (s->env != NULL) /* the script got this function by debug.getinfo */
        return luaL_error(L, "the state is set up already");
    luaL_openlibs(L);
    library_open(L);
    module_open(L);
    directory_open(L);
    s->env = api_open(L, s->config);
    if (s->config->startup_script[0] != '\0') {
        int error = state_load_file(L, s->config->startup_script, "t");
        if (error > 0)
            return luaL_error(L, "StartupScript %s: %s", s->config->startup_script,
                              strerror(error));
        if (error < 0)
            return lua_error(L);
        lua_call(L, 0, 0);
    }
    lua_pushfstring(L, "@%s", s->path);
    if (luaL_loadbufferx(L, whole_of(s)->code->bytecode.data,
                         whole_of(s)->code->bytecode.len, lua_tostring(L, -1),
                         "b") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    lua_settop(L, 0);
    call_hook(L, s->config->on_state_start);
    return 0;
}

struct script *script_create(struct script_code *code, const char *root,
                             struct config *config, int id, struct script_error *error)
{
    if (code->error.status != 0) {
        state_set_error(error, code->error.status,
                        code->error.message == NULL ? "out of memory"
                                                    : code->error.message);
        state_set_fault(error, code->error.file, code->error.line);
        return NULL;
    }
    struct whole *whole = calloc(1, sizeof *whole);
    if (whole == NULL) {
        state_set_error(error, 500, "out of memory");
        return NULL;
    }
    struct script *s = &whole->state;
    whole->code = script_code_ref(code);
    s->handles = &whole->handles;
    bool ok = state_open(s, code->path, &code->source, root, config, id);
    if (ok) {
        if (!directory_renew(s->path))
            state_serve_once(s);
        enum state_outcome outcome = state_run(s, set_up, false, error);
        ok = outcome == STATE_DONE;
        whole->started = ok;
        if (outcome == STATE_EXITED)
            state_set_error(error, 500, "os.exit called while the script was loaded");
        s->requests = 0;
    } else {
        state_set_error(error, 500, "out of memory");
    }
    if (!ok) {
        script_close(s);
        return NULL;
    }
    collect_now(s);
    return s;
}

void script_close(struct script *s)
{
    if (s->L != NULL) {
        size_t max = s->limit.max;
        s->limit.max = 0; /* guard_finalizers must have the few bytes it needs */
        guard_finalizers(s->L);
        s->limit.max = max;
        limit_close(&s->limit, whole_of(s)->started ? stop : NULL);
    }
    handle_forget(s->handles);
    struct script_code *code = whole_of(s)->code;
    state_close(s);
    script_code_unref(code);
    free(whole_of(s));
}

/* -- Serving -- */

size_t script_peak(const struct script *s)
{
    return s->limit.peak;
}

bool script_serve(struct script *s, struct call *call, struct script_error *error)
{
    s->limit.peak = s->limit.used;
    return api_serve(s, call, error);
}

bool script_go_on(struct script *s, struct call *call, struct script_error *error)
{
    return api_go_on(s, call, error);
}
