/* One script in memory: a Lua state, its limits, and the files it was made from.
 *
 * A script belongs to the thread that has it checked out; the compiled code is shared by
 * the clones of a script, immutable and counted. All Lua, the making of a state included,
 * runs in protected calls under the limits. No lock is needed here. */
#include "lua/script.h"

#include "base/buffer.h"
#include "base/log.h"
#include "lua/api.h"
#include "lua/chunk.h"
#include "lua/directory.h"
#include "lua/guard.h"
#include "lua/handle.h"
#include "lua/library.h"
#include "lua/limit.h"
#include "lua/module.h"
#include "lua/refusal.h"
#include "lua/source.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* Garbage of a state before it is collected, once its response is out; Lua's own
 * collector starts only at twice that, within a request that makes much of it. */
#define GARBAGE_BYTES (128 * 1024)

/* Files that a state looked for in vain and that it is renewed for when they come. */
#define ABSENT_MAX 256

/* Of an error's message, which is kept outside Lua, logged, and perhaps shown. */
#define MESSAGE_BYTES (16 * 1024)

struct script_code {
    atomic_uint references;
    char *path;
    struct source_ref source;
    struct buffer bytecode;
    struct script_error error; /* message NULL: it compiled */
};

struct script {
    struct limit limit;
    struct handles handles;
    lua_State *L;
    struct config *config; /* a reference */
    unsigned config_generation;
    struct script_code *code;
    char *root, *dir;
    int id;
    unsigned requests;
    unsigned failures; /* requests that failed, since the last that did not */
    unsigned epoch;    /* of lua/source.h, when all sources were last seen current */
    struct source_ref *sources;  /* all that went into the state but the script itself */
    size_t source_count, absent; /* of them: files that were not there */
    struct buffer output;
    struct api *api;
    void *owner;
    size_t garbage_base; /* bytes in use after the last collection */
};

/* -- Errors -- */

void script_error_clear(struct script_error *e)
{
    free(e->message);
    *e = (struct script_error){0};
}

static void set_error(struct script_error *e, int status, const char *message)
{
    script_error_clear(e);
    e->status = status;
    e->message = strdup(message);
}

/* The text of an error value, whatever it is. May raise: __tostring is the script's. */
static int describe(lua_State *L)
{
    int type = lua_type(L, 1);
    if (type == LUA_TNIL || type == LUA_TBOOLEAN || luaL_getmetafield(L, 1, "__tostring"))
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return 1;
}

static int add_traceback(lua_State *L)
{
    struct limit *limit = script_limit(script_of(L));
    if (limit_broken(limit) != LIMIT_NONE) {
        limit_note(limit, L); /* of an error that a library function raised for it */
        return 1;
    }
    if (!lua_isstring(L, 1)) {
        lua_pushcfunction(L, describe);
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK)
            lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
        lua_replace(L, 1);
    }
    if (refusal_status(L, 1) != 0)
        return 1;
    if (lua_rawlen(L, 1) > MESSAGE_BYTES) {
        lua_pushlstring(L, lua_tostring(L, 1), MESSAGE_BYTES);
        lua_pushliteral(L, " ...");
        lua_concat(L, 2);
        lua_replace(L, 1);
    }
    luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

/* Runs the function on the stack, under the limits. The stack is empty afterwards. */
static bool call(struct script *s, struct script_error *error)
{
    lua_State *L = s->L;
    lua_pushcfunction(L, add_traceback);
    lua_insert(L, 1);
    limit_enter(&s->limit);
    int status = lua_pcall(L, 0, 0, 1);
    limit_leave(&s->limit);
    enum limit_kind kind = limit_broken(&s->limit);
    bool ok = (status == LUA_OK && kind == LIMIT_NONE) || kind == LIMIT_EXIT;
    if (!ok) {
        const char *text = lua_tostring(L, -1);
        int refusal = kind == LIMIT_NONE ? refusal_status(L, -1) : 0;
        if (kind != LIMIT_NONE)
            text = s->limit.where != NULL ? s->limit.where : limit_message(kind);
        set_error(error,
                  refusal != 0         ? refusal
                  : kind == LIMIT_TIME ? 504
                                       : 500,
                  text == NULL ? "unknown error" : text);
    }
    lua_settop(L, 0);
    return ok;
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

/* Compiles `text`, and skips a first line that begins with '#', as lua(1) does. */
static int load_text(lua_State *L, const struct buffer *text, const char *name)
{
    const char *data = text->data == NULL ? "" : text->data;
    size_t len = text->len;
    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        len -= 3;
    }
    if (len > 0 && data[0] == '#') {
        const char *end = memchr(data, '\n', len);
        len = end == NULL ? 0 : len - (size_t)(end - data); /* keeps the newline */
        data = end == NULL ? "" : end;
    }
    return chunk_load(L, data, len, name, "t");
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
    if (load_text(L, c->text, lua_tostring(L, -1)) != LUA_OK)
        return lua_error(L);
    if (lua_dump(L, append_bytecode, &c->code->bytecode, 0) != 0)
        return luaL_error(L, "out of memory");
    return 0;
}

/* False with `error` filled when there was no time for it: another time there may be. */
static bool compile_text(struct script_code *code, const struct buffer *text,
                         const struct config *config, struct script_error *error)
{
    struct limit limit = {.max = (size_t)config->script_memory_limit, .name = code->path};
    lua_State *L = limit_newstate(&limit);
    if (L == NULL) {
        set_error(&code->error, 500, "out of memory");
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
        set_error(error, 504,
                  "time limit exceeded (RequestTimeout) while the script was compiled");
    else if (!ok)
        set_error(&code->error, 500, lua_tostring(L, -1));
    limit_close(&limit);
    return !late;
}

struct script_code *script_compile(const char *path, const struct config *config,
                                   struct script_error *error)
{
    struct buffer text = {0};
    struct script_code *code = calloc(1, sizeof *code);
    if (code == NULL || (code->path = strdup(path)) == NULL) {
        set_error(error, 500, strerror(ENOMEM));
        free(code);
        return NULL;
    }
    atomic_init(&code->references, 1);
    int failure = source_read(path, config->script_root, &code->source, &text);
    if (failure != 0)
        set_error(error, status_of_errno(failure), strerror(failure));
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
    script_error_clear(&code->error);
    free(code->path);
    free(code);
}

bool script_code_is_current(const struct script_code *code)
{
    return source_is_current(&code->source);
}

/* -- Sources -- */

static bool add_source(struct script *s, struct source_ref *ref)
{
    for (size_t i = 0; i < s->source_count; i++) {
        if (s->sources[i].source == ref->source &&
            s->sources[i].version == ref->version) {
            source_release(ref);
            return true;
        }
    }
    if ((s->source_count & (s->source_count - 1)) == 0) { /* full at each power of two */
        size_t cap = s->source_count == 0 ? 1 : s->source_count * 2;
        struct source_ref *list = realloc(s->sources, cap * sizeof *list);
        if (list == NULL) {
            source_release(ref);
            return false;
        }
        s->sources = list;
    }
    s->sources[s->source_count++] = *ref;
    return true;
}

const char *script_push_path(lua_State *L, const char *name)
{
    return name[0] == '/' ? lua_pushstring(L, name)
                          : lua_pushfstring(L, "%s/%s", script_of(L)->dir, name);
}

int script_load_file(lua_State *L, const char *name)
{
    struct script *s = script_of(L);
    const char *path = script_push_path(L, name);
    lua_pushfstring(L, "@%s", name);
    struct buffer text = {.memory = &s->limit.outside};
    struct source_ref ref;
    int error = source_read(path, "", &ref, &text);
    if (error == 0 && !add_source(s, &ref))
        error = ENOMEM;
    if (error == 0 && load_text(L, &text, lua_tostring(L, -1)) != LUA_OK)
        error = -1;
    buffer_free(&text);
    if (error > 0) {
        lua_pop(L, 2);
        return error;
    }
    lua_replace(L, -3);
    lua_pop(L, 1);
    return error;
}

void script_note_absent(lua_State *L, const char *name)
{
    struct script *s = script_of(L);
    struct source_ref ref;
    if (s->absent >= ABSENT_MAX)
        return;
    size_t before = s->source_count;
    if (source_note_absent(script_push_path(L, name), &ref) == 0)
        add_source(s, &ref);
    s->absent += s->source_count > before;
    lua_pop(L, 1);
}

/* What relative names lead to, from the moment that another directory is there. */
static void note_directory(struct script *s, const char *path)
{
    struct source_ref ref;
    if (path[0] == '/' && source_note_directory(path, path, &ref) == 0)
        add_source(s, &ref);
}

bool script_is_current(struct script *s)
{
    if (config_generation() != s->config_generation)
        return false;
    unsigned epoch = source_epoch(); /* read first: a later change is seen next time */
    if (epoch == s->epoch)
        return true;
    if (!script_code_is_current(s->code))
        return false;
    for (size_t i = 0; i < s->source_count; i++)
        if (!source_is_current(&s->sources[i]))
            return false;
    s->epoch = epoch;
    return true;
}

/* -- Garbage -- */

/* Lua's collector starts anew when the memory in use is `pause` percent of what was left
 * at the end of the last cycle: turn a number of bytes into that. */
static int collect(lua_State *L)
{
    struct script *s = script_of(L);
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
    if (!call(s, &error)) { /* a finalizer failed */
        log_error("error while collecting garbage");
        log_lines(LOG_LEVEL_ERROR,
                  error.message == NULL ? "out of memory" : error.message);
    }
    script_error_clear(&error);
    s->garbage_base = s->limit.used;
    handle_collected(&s->handles);
}

void script_collect(struct script *s)
{
    bool due =
        s->limit.used >= s->garbage_base + GARBAGE_BYTES || handle_is_due(&s->handles);
    if (due && script_is_usable(s))
        collect_now(s);
}

/* -- Making a state -- */

static int set_up(lua_State *L)
{
    struct script *s = script_of(L);
    if (s->api != NULL) /* the script found it by debug.getinfo */
        return luaL_error(L, "the state is set up already");
    luaL_openlibs(L);
    library_open(L);
    module_open(L);
    directory_open(L);
    s->api = api_open(L, s->config);
    if (s->config->startup_script[0] != '\0') {
        int error = script_load_file(L, s->config->startup_script);
        if (error > 0)
            return luaL_error(L, "StartupScript %s: %s", s->config->startup_script,
                              strerror(error));
        if (error < 0)
            return lua_error(L);
        lua_call(L, 0, 0);
    }
    lua_pushfstring(L, "@%s", s->code->path);
    if (luaL_loadbufferx(L, s->code->bytecode.data, s->code->bytecode.len,
                         lua_tostring(L, -1), "b") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

static int on_panic(lua_State *L)
{
    log_error("error outside a protected call: %s", lua_tostring(L, -1));
    return 0; /* Lua aborts */
}

static bool begin(struct script *s)
{
    const char *slash = strrchr(s->code->path, '/');
    if (slash == NULL)
        s->dir = strdup(".");
    else
        s->dir = strndup(s->code->path,
                         slash == s->code->path ? 1 : (size_t)(slash - s->code->path));
    s->L = limit_newstate(&s->limit);
    if (s->dir == NULL || s->root == NULL || s->L == NULL)
        return false;
    lua_atpanic(s->L, on_panic);
    *(struct script **)lua_getextraspace(s->L) = s;
    return true;
}

struct script *script_create(struct script_code *code, const char *root,
                             struct config *config, int id, struct script_error *error)
{
    if (code->error.status != 0) {
        set_error(error, code->error.status,
                  code->error.message == NULL ? "out of memory" : code->error.message);
        return NULL;
    }
    struct script *s = calloc(1, sizeof *s);
    if (s == NULL) {
        set_error(error, 500, "out of memory");
        return NULL;
    }
    s->limit.max = (size_t)config->script_memory_limit;
    s->limit.name = code->path;
    s->config_generation = config_generation();
    s->config = config_ref(config);
    s->code = script_code_ref(code);
    s->root = strdup(root);
    s->id = id;
    s->epoch = source_epoch() - 1; /* the first check looks at every source */
    bool ok = begin(s);
    if (ok) {
        note_directory(s, s->dir);
        note_directory(s, s->root);
        lua_pushcfunction(s->L, set_up);
        ok = call(s, error);
        library_flush(s->L);
        if (ok && limit_broken(&s->limit) == LIMIT_EXIT) {
            set_error(error, 500, "os.exit called while the script was loaded");
            ok = false;
        }
    } else {
        set_error(error, 500, "out of memory");
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
        s->limit.max = 0; /* the guards' few bytes must be there */
        guard_finalizers(s->L);
        s->limit.max = max;
        limit_close(&s->limit);
    }
    handle_forget(&s->handles);
    for (size_t i = 0; i < s->source_count; i++)
        source_release(&s->sources[i]);
    free(s->sources);
    buffer_free(&s->output);
    script_code_unref(s->code);
    config_unref(s->config);
    free(s->root);
    free(s->dir);
    free(s);
}

/* -- Running -- */

bool script_run(struct script *s, lua_CFunction body, struct script_error *error)
{
    s->requests++;
    lua_pushcfunction(s->L, body);
    bool ok = call(s, error);
    library_flush(s->L);
    if (limit_broken(&s->limit) == LIMIT_EXIT)
        limit_mend(&s->limit);
    return ok;
}

bool script_is_usable(const struct script *s)
{
    return limit_broken(&s->limit) == LIMIT_NONE;
}

/* -- Access -- */

struct script *script_of(lua_State *L)
{
    return *(struct script **)lua_getextraspace(L);
}

struct limit *script_limit(struct script *s)
{
    return &s->limit;
}

struct handles *script_handles(struct script *s)
{
    return &s->handles;
}

struct buffer *script_output(struct script *s)
{
    return &s->output;
}

struct api *script_api(struct script *s)
{
    return s->api;
}

int script_id(const struct script *s)
{
    return s->id;
}

const char *script_path(const struct script *s)
{
    return s->code->path;
}

const char *script_root(const struct script *s)
{
    return s->root;
}

const char *script_dir(const struct script *s)
{
    return s->dir;
}

struct config *script_config(const struct script *s)
{
    return s->config;
}

lua_State *script_lua(struct script *s)
{
    return s->L;
}

void script_set_owner(struct script *s, void *node)
{
    s->owner = node;
}

void *script_owner(const struct script *s)
{
    return s->owner;
}

unsigned script_requests(const struct script *s)
{
    return s->requests;
}

void script_note_outcome(struct script *s, bool failed)
{
    s->failures = failed ? s->failures + 1 : 0;
}

unsigned script_failures(const struct script *s)
{
    return s->failures;
}
