/* One Lua state in use: its limits, the files that went into it, and the calls into
 * it.
 *
 * The thread that has a state checked out of the pool owns it, so no lock is needed.
 * All Lua runs in protected calls under the limits (state_pcall). This file is at the
 * bottom of its folder: it uses limits and sources only. lua/script.c is at the top
 * and makes states with their libraries from files. */
#include "lua/state.h"

#include "base/log.h"
#include "lua/chunk.h"
#include "lua/compat.h"
#include "lua/fault.h"
#include "lua/limit.h"
#include "lua/refusal.h"
#include "lua/state_fields.h"

#include <errno.h>
#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

/* Missing files that a state remembers: it is renewed when one of them appears. */
#define ABSENT_MAX 256

/* of an error's message, which is kept outside Lua, logged, and perhaps shown */
#define MESSAGE_BYTES (16 * 1024)

/* -- Errors -- */

void state_error_clear(struct script_error *e)
{
    free(e->message);
    free(e->file);
    *e = (struct script_error){0};
}

void state_set_error(struct script_error *e, int status, const char *message)
{
    state_error_clear(e);
    e->status = status;
    e->message = strdup(message);
}

void state_set_fault(struct script_error *e, const char *file, int line)
{
    free(e->file);
    e->file = file == NULL ? NULL : strdup(file);
    e->line = e->file == NULL ? 0 : line;
}

/* Pushes the text of any error value. May raise, as __tostring is the script's. */
static int describe(lua_State *L)
{
    int type = lua_type(L, 1);
    if (type == LUA_TNIL || type == LUA_TBOOLEAN || luaL_getmetafield(L, 1, "__tostring"))
        luaL_tolstring(L, 1, NULL);
    else
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return 1;
}

/* Whether a function of the script is being called. One that does not compile, or cannot
 * be read, has none to be traced. */
static bool runs_lua(lua_State *L, int level)
{
    lua_Debug ar;
    for (; lua_getstack(L, level, &ar); level++)
        if (lua_getinfo(L, "S", &ar) && *ar.what != 'C')
            return true;
    return false;
}

/* Makes the error value at index 1 of L a text with the traceback of `of`, which may be
 * L itself, from `level` on. Leaves more on the stack. */
static void describe_error(lua_State *L, lua_State *of, int level)
{
    struct limit *limit = state_limit(state_of(L));
    if (limit_broken(limit) != LIMIT_NONE) {
        limit_note(limit, of); /* in case a function of the library raised the error */
        return;
    }
    if (!lua_isstring(L, 1)) {
        lua_pushcfunction(L, describe);
        lua_pushvalue(L, 1);
        if (lua_pcall(L, 1, 1, 0) != LUA_OK)
            lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
        lua_replace(L, 1);
    }
    if (refusal_status(L, 1) != 0)
        return;
    const char *hint = compat_hint(lua_tostring(L, 1));
    if (hint != NULL) {
        lua_pushfstring(L, "%s%s", lua_tostring(L, 1), hint);
        lua_replace(L, 1);
    }
    if (lua_rawlen(L, 1) > MESSAGE_BYTES) {
        lua_pushlstring(L, lua_tostring(L, 1), MESSAGE_BYTES);
        lua_pushliteral(L, " ...");
        lua_concat(L, 2);
        lua_replace(L, 1);
    }
    if (!runs_lua(of, level))
        return;
    luaL_traceback(L, of, lua_tostring(L, 1), level);
    lua_replace(L, 1);
}

/* Scripts can call this function and the next one: debug.getinfo gives them. */
int state_add_traceback(lua_State *L)
{
    luaL_checkany(L, 1);
    describe_error(L, L, 1);
    lua_settop(L, 1);
    return 1;
}

/* The same for an error that has ended the coroutine at index 2, which must stay there:
 * while the script's __tostring runs, nothing else may refer to it. */
static int add_traceback_of(lua_State *L)
{
    lua_State *of = lua_tothread(L, 2);
    luaL_argcheck(L, of != NULL, 2, "coroutine expected");
    describe_error(L, of, 0);
    lua_settop(L, 1);
    return 1;
}

/* A file may be called as it is found from the script's directory. */
static void look_for(const struct script *s, const char *path, const char *text,
                     struct fault *fault)
{
    size_t len = strlen(s->dir);
    fault_look(fault, text, path, path);
    if (strncmp(path, s->dir, len) == 0 && path[len] == '/')
        fault_look(fault, text, path + len + 1, path);
}

/* Looks for one of the state's files in the message. */
static void note_fault(const struct script *s, struct script_error *error)
{
    struct fault fault = {0};
    look_for(s, s->path, error->message, &fault);
    for (size_t i = 0; i < s->source_count; i++)
        look_for(s, source_path(&s->sources[i]), error->message, &fault);
    state_set_fault(error, fault.path, fault.line);
}

/* Fills `error` from the limit that is broken, or else from the value on top of L. */
static void note_failure(struct script *s, lua_State *L, struct script_error *error)
{
    enum limit_kind kind = limit_broken(&s->limit);
    const char *text = lua_gettop(L) == 0 ? NULL : lua_tostring(L, -1);
    int status = kind == LIMIT_TIME ? 504 : 500;
    if (kind != LIMIT_NONE)
        text = s->limit.where != NULL ? s->limit.where : limit_message(kind);
    else if (text != NULL && refusal_status(L, -1) != 0)
        status = refusal_status(L, -1);
    state_set_error(error, status, text == NULL ? "unknown error" : text);
    if (error->message != NULL)
        note_fault(s, error);
}

bool state_pcall(struct script *s, struct script_error *error)
{
    lua_State *L = s->L;
    lua_pushcfunction(L, state_add_traceback);
    lua_insert(L, 1);
    limit_enter(&s->limit);
    int status = lua_pcall(L, 0, 0, 1);
    limit_leave(&s->limit);
    enum limit_kind kind = limit_broken(&s->limit);
    bool ok = (status == LUA_OK && kind == LIMIT_NONE) || kind == LIMIT_EXIT;
    if (!ok)
        note_failure(s, L, error);
    lua_settop(L, 0);
    return ok;
}

int state_load_text(lua_State *L, const struct buffer *text, const char *name,
                    const char *mode)
{
    const char *data = text->data == NULL ? "" : text->data;
    size_t len = text->len;
    if (len >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0) {
        data += 3;
        len -= 3;
    }
    if (len > 0 && data[0] == '#') {
        const char *end = memchr(data, '\n', len);
        len =
            end == NULL ? 0 : len - (size_t)(end - data); /* keeps the newline, so that
                                                             lines count as in the file */
        data = end == NULL ? "" : end;
        if (len > 1 && data[1] == LUA_SIGNATURE[0]) { /* bytecode has no lines */
            data++;
            len--;
        }
    }
    return chunk_load(L, data, len, name, mode);
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

const char *state_check_path(lua_State *L, int index)
{
    size_t len;
    const char *path = luaL_checklstring(L, index, &len);
    luaL_argcheck(L, len > 0 && strlen(path) == len, index, "a path expected");
    return path;
}

const char *state_push_path(lua_State *L, const char *name)
{
    return name[0] == '/' ? lua_pushstring(L, name)
                          : lua_pushfstring(L, "%s/%s", state_of(L)->dir, name);
}

int state_read_file(lua_State *L, const char *name, struct buffer *text)
{
    struct script *s = state_of(L);
    struct source_ref ref;
    int error = source_read(state_push_path(L, name), "", &ref, text);
    lua_pop(L, 1);
    if (error == 0 && !add_source(s, &ref))
        error = ENOMEM;
    return error;
}

const char *state_mode(lua_State *L, const char *asked)
{
    bool source = asked == NULL || strchr(asked, 't') != NULL;
    bool bytecode = (asked == NULL || strchr(asked, 'b') != NULL) &&
                    state_of(L)->config->allow_bytecode;
    if (bytecode)
        return source ? "bt" : "b";
    return source ? "t" : "";
}

int state_load_file(lua_State *L, const char *name, const char *mode)
{
    struct buffer text = {.memory = &state_of(L)->limit.outside};
    lua_pushfstring(L, "@%s", name);
    int error = state_read_file(L, name, &text);
    if (error == 0 && state_load_text(L, &text, lua_tostring(L, -1), mode) != LUA_OK)
        error = -1;
    buffer_free(&text);
    if (error > 0)
        lua_pop(L, 1);
    else
        lua_remove(L, -2);
    return error;
}

void state_note_absent(lua_State *L, const char *name)
{
    struct script *s = state_of(L);
    struct source_ref ref;
    if (s->absent >= ABSENT_MAX)
        return;
    size_t before = s->source_count;
    if (source_note_absent(state_push_path(L, name), &ref) == 0)
        add_source(s, &ref);
    s->absent += s->source_count > before;
    lua_pop(L, 1);
}

/* Makes a directory a source: the state is renewed when its path leads to another one.
 * false: it cannot be told, as there is none at the moment. */
static bool note_directory(struct script *s, const char *path)
{
    struct source_ref ref;
    return path[0] != '/' ||
           (source_note_directory(path, path, &ref) == 0 && add_source(s, &ref));
}

void state_serve_once(struct script *s)
{
    s->generation = config_generation() - 1;
}

bool state_is_current(struct script *s)
{
    if (config_generation() != s->generation)
        return false;
    unsigned epoch =
        source_epoch(); /* read first: what changes after this is seen next time */
    if (epoch == s->epoch)
        return true;
    if (!source_is_current(s->source))
        return false;
    for (size_t i = 0; i < s->source_count; i++)
        if (!source_is_current(&s->sources[i]))
            return false;
    s->epoch = epoch;
    return true;
}

/* -- Making and closing -- */

static int on_panic(lua_State *L)
{
    log_error("error outside a protected call: %s", lua_tostring(L, -1));
    return 0; /* Lua aborts then */
}

static bool begin(struct script *s)
{
    const char *slash = strrchr(s->path, '/');
    if (slash == NULL)
        s->dir = strdup(".");
    else
        s->dir = strndup(s->path, slash == s->path ? 1 : (size_t)(slash - s->path));
    s->L = limit_newstate(&s->limit);
    if (s->dir == NULL || s->root == NULL || s->L == NULL)
        return false;
    lua_atpanic(s->L, on_panic);
    *(struct script **)lua_getextraspace(s->L) = s;
    return true;
}

bool state_open(struct script *s, const char *path, const struct source_ref *source,
                const char *root, struct config *config, int id)
{
    s->limit.max = (size_t)config->script_memory_limit;
    s->limit.name = path;
    s->generation = config_generation();
    s->config = config_ref(config);
    s->path = path;
    s->source = source;
    s->root = strdup(root);
    s->id = id;
    s->epoch = source_epoch() - 1; /* so that the first check looks at every source */
    if (!begin(s))
        return false;
    if (!note_directory(s, s->dir))
        state_serve_once(s);
    note_directory(s, s->root);
    return true;
}

void state_close(struct script *s)
{
    for (size_t i = 0; i < s->source_count; i++)
        source_release(&s->sources[i]);
    free(s->sources);
    buffer_free(&s->output);
    config_unref(s->config);
    free(s->root);
    free(s->dir);
}

/* -- Running -- */

void state_flush(struct script *s)
{
    struct buffer *line = &s->output;
    if (line->len > 0)
        log_text(LOG_LEVEL_INFO, line->data, line->len);
    line->len = 0;
}

/* -- In the coroutine that scripts take for the main one -- */

static bool base_can_run(const struct script *s)
{
    return s->limit.base != NULL && lua_status(s->limit.base) == LUA_OK;
}

/* A script that calls this function finds a coroutine that can run: its own. */
static int make_base(lua_State *L)
{
    struct script *s = state_of(L);
    if (base_can_run(s))
        return luaL_error(L, "the coroutine of requests is there");
    lua_State *base = lua_newthread(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->limit.base); /* an earlier one is garbage */
    s->limit.base = base;
    return 0;
}

/* Makes the coroutine, if there is none that can run: an error may have ended it. */
static bool has_base(struct script *s, struct script_error *error)
{
    if (base_can_run(s))
        return true;
    lua_pushcfunction(s->L, make_base);
    bool ok = state_pcall(s, error);
    if (ok && base_can_run(s))
        return true;
    if (ok)
        state_set_error(error, 500, "os.exit called while garbage was collected");
    if (limit_broken(&s->limit) == LIMIT_EXIT)
        limit_mend(&s->limit);
    return false;
}

/* Fills `error` with what ended the coroutine of requests, which is of no further use: an
 * error that nothing caught, or a C function that yielded as in any other coroutine. */
static void note_loss_of_base(struct script *s, int status, struct script_error *error)
{
    lua_State *L = s->L, *base = s->limit.base;
    lua_pushcfunction(L, add_traceback_of);
    if (status == LUA_YIELD)
        lua_pushliteral(L, "attempt to yield from outside a coroutine");
    else
        lua_xmove(base, L, 1);
    lua_pushthread(base);
    lua_xmove(base, L, 1);
    limit_enter(&s->limit); /* __tostring of an error value is the script's */
    lua_pcall(L, 2, 1, 0);
    limit_leave(&s->limit);
    note_failure(s, L, error);
    lua_settop(L, 0);
}

/* What comes after the coroutine has given the thread back. */
static enum state_outcome settle(struct script *s, int status, struct script_error *error)
{
    lua_State *base = s->limit.base;
    enum limit_kind kind = limit_broken(&s->limit);
    if (status == LIMIT_WAITS)
        return STATE_WAITS;
    bool ok = (status == LUA_OK && lua_gettop(base) == 0 && kind == LIMIT_NONE) ||
              kind == LIMIT_EXIT;
    if (!ok && status != LUA_OK && status != LIMIT_ENDED)
        note_loss_of_base(s, status, error);
    else if (!ok)
        note_failure(s, base, error);
    if (status == LUA_OK)
        lua_settop(base, 0);
    state_flush(s);
    if (kind == LIMIT_EXIT)
        limit_mend(&s->limit);
    return kind == LIMIT_EXIT ? STATE_EXITED : ok ? STATE_DONE : STATE_FAILED;
}

static enum state_outcome resume(struct script *s, bool may_wait,
                                 struct script_error *error)
{
    int status;
    limit_enter(&s->limit);
    do
        status = limit_resume_base(&s->limit, 0, may_wait);
    while (status == LIMIT_WAITS && limit_broken(&s->limit) != LIMIT_NONE);
    limit_leave(&s->limit);
    return settle(s, status, error);
}

enum state_outcome state_run(struct script *s, int (*body)(lua_State *), bool may_wait,
                             struct script_error *error)
{
    s->requests++;
    if (!has_base(s, error))
        return STATE_FAILED;
    lua_pushcfunction(s->limit.base, body);
    return resume(s, may_wait, error);
}

enum state_outcome state_go_on(struct script *s, struct script_error *error)
{
    return resume(s, true, error);
}

size_t state_memory(const struct script *s)
{
    return s->limit.used;
}

bool state_is_usable(const struct script *s)
{
    return limit_broken(&s->limit) == LIMIT_NONE;
}

/* -- Access -- */

struct script *state_of(lua_State *L)
{
    return *(struct script **)lua_getextraspace(L);
}

struct awaited *state_awaited(struct script *s)
{
    return &s->awaited;
}

struct wait *state_wait(struct script *s)
{
    return &s->wait;
}

struct limit *state_limit(struct script *s)
{
    return &s->limit;
}

struct handles *state_handles(struct script *s)
{
    return s->handles;
}

struct buffer *state_output(struct script *s)
{
    return &s->output;
}

struct env *state_env(struct script *s)
{
    return s->env;
}

int state_id(const struct script *s)
{
    return s->id;
}

const char *state_path(const struct script *s)
{
    return s->path;
}

const char *state_root(const struct script *s)
{
    return s->root;
}

const char *state_dir(const struct script *s)
{
    return s->dir;
}

struct config *state_config(const struct script *s)
{
    return s->config;
}

void state_set_owner(struct script *s, void *node)
{
    s->owner = node;
}

void *state_owner(const struct script *s)
{
    return s->owner;
}

unsigned state_requests(const struct script *s)
{
    return s->requests;
}

void state_note_outcome(struct script *s, bool failed)
{
    s->failures = failed ? s->failures + 1 : 0;
}

unsigned state_failures(const struct script *s)
{
    return s->failures;
}
