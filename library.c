/* The standard library as scripts get it: replacements of those of its functions that
 * would reach beyond a script's own request. They run in the thread that owns the state;
 * what they keep is in the script (script.h) or in upvalues. */
#include "library.h"

#include "buffer.h"
#include "clock.h"
#include "limit.h"
#include "log.h"
#include "process.h"
#include "script.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* In the registry: the metatables of objects with finalizers, as weak keys; the value is
 * `true`, or the finalizer that it must be. */
#define FINALIZERS "luafcgid2.finalizers"

#define OUTPUT_LINE_MAX 4096 /* bytes of a line on standard output before it is cut */

static struct limit *limit_of(lua_State *L)
{
    return script_limit(script_of(L));
}

/* For functions that hand on to the one they replaced, kept as their first upvalue. */
static int all_results(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

static int call_original(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, all_results);
    return lua_gettop(L);
}

/* -- Coroutines: limits must reach the one that runs -- */

/* Resumes `co` with `count` values from the top of L. The number of values it gave, now
 * on top of L, or -1 and an error value. */
static int resume(lua_State *L, lua_State *co, int count)
{
    if (lua_status(co) == LUA_OK && lua_gettop(co) == 0) {
        lua_pushliteral(L, "cannot resume dead coroutine");
        return -1;
    }
    if (!lua_checkstack(co, count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, count);
    int status = limit_resume(limit_of(L), co, L, count);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    int results = lua_gettop(co);
    if (!lua_checkstack(L, results + 1)) {
        lua_settop(co, 0);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, results);
    return results;
}

static int coroutine_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argcheck(L, co != NULL, 1, "coroutine expected");
    int results = resume(L, co, lua_gettop(L) - 1);
    lua_pushboolean(L, results >= 0);
    int count = results >= 0 ? results : 1;
    lua_insert(L, -count - 1);
    return count + 1;
}

static int wrapped(lua_State *L)
{
    int results = resume(L, lua_tothread(L, lua_upvalueindex(1)), lua_gettop(L));
    if (results >= 0)
        return results;
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int coroutine_wrap(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_State *co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped, 1);
    return 1;
}

/* -- Handlers and finalizers: Lua calls them with hooks off -- */

/* The handler of an error that a broken limit raised would run inside the hook, where no
 * hook can end it. */
static int guarded_handler(lua_State *L)
{
    if (limit_broken(limit_of(L)) != LIMIT_NONE)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 2);
    return call_original(L);
}

/* Hooks are off in the coroutine that runs a finalizer or a hook, but not in one of the
 * function's own. */
static int guarded_call(lua_State *L)
{
    int count = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_State *co = lua_newthread(L);
    lua_insert(L, 1);
    lua_xmove(L, co, count + 1);
    int status = limit_resume(limit_of(L), co, L, count);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return lua_error(L);
    }
    return 0;
}

/* Whether the metatable on top has a finalizer, which is guarded. */
static bool guard_finalizer(lua_State *L)
{
    lua_pushliteral(L, "__gc");
    bool there = lua_rawget(L, -2) != LUA_TNIL;
    if (lua_isfunction(L, -1) && lua_tocfunction(L, -1) != guarded_call) {
        lua_pushcclosure(L, guarded_call, 1);
        lua_pushliteral(L, "__gc");
        lua_insert(L, -2);
        lua_rawset(L, -3);
    } else {
        lua_pop(L, 1);
    }
    return there;
}

/* -- Metatables -- */

static const char hidden; /* its address is the key in the registry */

void library_set_hidden_metatable(lua_State *L)
{
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &hidden);
    lua_setmetatable(L, -2);
}

static bool has_hidden_metatable(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &hidden);
    bool same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same;
}

/* getmetatable and debug.getmetatable */
static int visible_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    if (!has_hidden_metatable(L, 1))
        return call_original(L);
    lua_pushnil(L);
    return 1;
}

/* setmetatable and debug.setmetatable */
static int guarded_setmetatable(lua_State *L)
{
    if (lua_gettop(L) >= 2 && has_hidden_metatable(L, 1) &&
        luaL_callmeta(L, 1, LIBRARY_REVEAL))
        lua_pop(L, 1);
    if (lua_istable(L, 2)) {
        lua_pushvalue(L, 2);
        if (guard_finalizer(L)) {
            lua_getfield(L, LUA_REGISTRYINDEX, FINALIZERS);
            lua_insert(L, -2);
            lua_pushboolean(L, 1);
            lua_rawset(L, -3);
        }
        lua_pop(L, 1);
    }
    return call_original(L);
}

/* A finalizer may have been put into its metatable after setmetatable. That of files is
 * what it was at first. */
static int guard_finalizers(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, FINALIZERS) != LUA_TTABLE)
        return 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_isfunction(L, -1)) {
            lua_pushliteral(L, "__gc");
            lua_insert(L, -2);
            lua_rawset(L, -3);
        } else {
            lua_pop(L, 1);
            guard_finalizer(L);
        }
    }
    return 0;
}

void library_guard(lua_State *L)
{
    int collects = lua_gc(L, LUA_GCISRUNNING, 0);
    lua_gc(L, LUA_GCSTOP, 0);
    lua_pushcfunction(L, guard_finalizers);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    if (collects)
        lua_gc(L, LUA_GCRESTART, 0);
}

static void open_finalizers(lua_State *L)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushliteral(L, "k");
    lua_setfield(L, -2, "__mode");
    lua_setmetatable(L, -2);
    luaL_getmetatable(L, LUA_FILEHANDLE);
    lua_getfield(L, -1, "__gc");
    lua_rawset(L, -3);
    lua_setfield(L, LUA_REGISTRYINDEX, FINALIZERS);
}

static int debug_sethook(lua_State *L)
{
    enum limit_kind kind = limit_broken(limit_of(L));
    if (kind != LIMIT_NONE)
        return luaL_error(L, "%s", limit_message(kind));
    int hook = lua_isthread(L, 1) ? 2 : 1;
    if (lua_isfunction(L, hook)) {
        lua_pushvalue(L, hook);
        lua_pushcclosure(L, guarded_call, 1);
        lua_replace(L, hook);
    }
    return call_original(L);
}

/* -- What debug could break: the C functions' own variables, and what a userdata is -- */

/* Among them are the functions that were replaced. */
static int debug_getupvalue(lua_State *L)
{
    return lua_iscfunction(L, 1) ? 0 : call_original(L);
}

static int debug_setupvalue(lua_State *L)
{
    luaL_argcheck(L, !lua_iscfunction(L, 1), 1, "Lua function expected");
    return call_original(L);
}

/* For debug.getlocal and setlocal: whether the level that is meant is a C function's. The
 * original that is to be called has the one that replaced it below it. */
static bool is_level_of_c(lua_State *L)
{
    lua_Debug ar;
    int arg = lua_isthread(L, 1) ? 2 : 1;
    lua_State *of = arg == 2 ? lua_tothread(L, 1) : L;
    lua_Integer level = luaL_checkinteger(L, arg);
    luaL_argcheck(L, level >= 0 && level < INT_MAX, arg, "level out of range");
    bool of_c =
        lua_getstack(of, (int)level, &ar) && lua_getinfo(of, "S", &ar) && *ar.what == 'C';
    if (of == L) {
        lua_pushinteger(L, level + 1);
        lua_replace(L, arg);
    }
    return of_c;
}

static int debug_getlocal(lua_State *L)
{
    bool of_function = lua_isfunction(L, lua_isthread(L, 1) ? 2 : 1);
    return !of_function && is_level_of_c(L) ? 0 : call_original(L);
}

static int debug_setlocal(lua_State *L)
{
    if (is_level_of_c(L))
        return luaL_error(L, "the variables of a C function cannot be set");
    return call_original(L);
}

/* It would read commands from standard input, which is empty. */
static int debug_debug(lua_State *L)
{
    (void)L;
    return 0;
}

static int debug_setmetatable(lua_State *L)
{
    luaL_argcheck(L, lua_type(L, 1) != LUA_TUSERDATA, 1, "a userdata stays what it is");
    return guarded_setmetatable(L);
}

/* -- Loading: source only, and remembered -- */

static int base_load(lua_State *L)
{
    if (lua_gettop(L) < 3)
        lua_settop(L, 3);
    const char *mode = luaL_optstring(L, 3, "t");
    lua_pushstring(L, strchr(mode, 't') != NULL ? "t" : "");
    lua_replace(L, 3);
    return call_original(L);
}

/* Pushes the chunk of a file, or a message. */
static bool load_file(lua_State *L, const char *name)
{
    int error = script_load_file(L, name);
    if (error > 0)
        lua_pushfstring(L, "cannot open %s: %s", name, strerror(error));
    return error == 0;
}

static int base_loadfile(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    const char *mode = luaL_optstring(L, 2, "t");
    bool has_env = !lua_isnone(L, 3);
    if (strchr(mode, 't') == NULL) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: only source can be loaded (mode is '%s')", name, mode);
        return 2;
    }
    if (!load_file(L, name)) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env) {
        lua_pushvalue(L, 3);
        if (lua_setupvalue(L, -2, 1) == NULL)
            lua_pop(L, 1);
    }
    return 1;
}

static int base_dofile(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    if (!load_file(L, name))
        return lua_error(L);
    lua_remove(L, 1);
    lua_callk(L, 0, LUA_MULTRET, 0, all_results);
    return lua_gettop(L);
}

/* The searcher for Lua modules. Upvalue: the table `package`. */
static int search_lua(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    lua_getfield(L, lua_upvalueindex(1), "searchpath");
    lua_pushvalue(L, 1);
    lua_getfield(L, lua_upvalueindex(1), "path");
    if (!lua_isstring(L, -1))
        return luaL_error(L, "'package.path' must be a string");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return 1; /* where it was looked for */
    lua_pop(L, 1);
    const char *path = lua_tostring(L, -1);
    if (!load_file(L, path))
        return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", name,
                          path, lua_tostring(L, -1));
    lua_insert(L, -2);
    return 2;
}

/* -- Standard output: the log -- */

void library_flush(lua_State *L)
{
    struct buffer *line = script_output(script_of(L));
    if (line->len > 0)
        log_text(LOG_LEVEL_INFO, line->data, line->len);
    line->len = 0;
}

static void output(lua_State *L, const char *text, size_t len)
{
    struct buffer *line = script_output(script_of(L));
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t part = end == NULL ? len : (size_t)(end - text);
        size_t room = OUTPUT_LINE_MAX - line->len;
        if (!buffer_append(line, text, part < room ? part : room))
            return;
        if (end != NULL) {
            log_text(LOG_LEVEL_INFO, line->data == NULL ? "" : line->data, line->len);
            line->len = 0;
            part++;
        }
        text += part;
        len -= part;
    }
}

static int base_print(lua_State *L)
{
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++) {
        size_t len;
        const char *text = luaL_tolstring(L, i, &len);
        if (i > 1)
            output(L, "\t", 1);
        output(L, text, len);
        lua_pop(L, 1);
    }
    output(L, "\n", 1);
    return 0;
}

static bool is_standard(const luaL_Stream *stream)
{
    return stream->closef != NULL && (stream->f == stdout || stream->f == stderr);
}

/* Writes arguments `first` ... to the log. */
static void output_arguments(lua_State *L, int first)
{
    for (int i = first; i <= lua_gettop(L); i++) {
        size_t len;
        const char *text = luaL_checklstring(L, i, &len);
        output(L, text, len);
    }
}

static int io_write(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output"); /* where liolib keeps it */
    luaL_Stream *stream = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (stream == NULL || !is_standard(stream)) {
        lua_pop(L, 1);
        return call_original(L);
    }
    lua_insert(L, 1);
    output_arguments(L, 2);
    lua_settop(L, 1);
    return 1;
}

static int file_write(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    if (!is_standard(stream))
        return call_original(L);
    output_arguments(L, 2);
    lua_settop(L, 1);
    return 1;
}

/* -- Children -- */

/* A child that outlives its script, or its time, is killed with what it started. */
static int await(lua_State *L, pid_t pid)
{
    int status;
    struct limit *limit = limit_of(L);
    bool killed = false;
    for (;;) {
        if ((limit->closing || limit_broken(limit) != LIMIT_NONE) && !killed) {
            kill(-pid, SIGKILL);
            killed = true;
        }
        if (process_wait(pid, &status))
            return luaL_execresult(L, status);
        if (errno != EINTR)
            return luaL_execresult(L, -1);
    }
}

static int os_execute(lua_State *L)
{
    const char *command = luaL_optstring(L, 1, NULL);
    if (command == NULL) {
        lua_pushboolean(L, access("/bin/sh", X_OK) == 0);
        return 1;
    }
    pid_t pid = process_start(command, -1, -1);
    return pid < 0 ? luaL_execresult(L, -1) : await(L, pid);
}

struct pipe_stream {
    luaL_Stream stream; /* first: liolib's methods see this */
    pid_t pid;
};

static int close_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    fclose(p->stream.f);
    return await(L, p->pid);
}

static int io_popen(lua_State *L)
{
    const char *command = luaL_checkstring(L, 1);
    const char *mode = luaL_optstring(L, 2, "r");
    bool reading = strcmp(mode, "r") == 0;
    luaL_argcheck(L, reading || strcmp(mode, "w") == 0, 2, "invalid mode");
    struct pipe_stream *p = lua_newuserdata(L, sizeof *p);
    p->stream.closef = NULL; /* closed, for the case of an error before it is open */
    luaL_setmetatable(L, LUA_FILEHANDLE);
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return luaL_fileresult(L, 0, command);
    int ours = fds[reading ? 0 : 1], theirs = fds[reading ? 1 : 0];
    p->stream.f = fdopen(ours, mode);
    p->pid = p->stream.f == NULL
                 ? -1
                 : process_start(command, reading ? -1 : theirs, reading ? theirs : -1);
    int error = errno;
    close(theirs);
    if (p->pid < 0) {
        if (p->stream.f != NULL)
            fclose(p->stream.f);
        else
            close(ours);
        errno = error;
        return luaL_fileresult(L, 0, command);
    }
    p->stream.closef = close_pipe;
    return 1;
}

/* -- The rest of what is process-wide -- */

static int os_exit(lua_State *L)
{
    limit_break(limit_of(L), LIMIT_EXIT);
    return luaL_error(L, "%s", limit_message(LIMIT_EXIT));
}

static int os_setlocale(lua_State *L)
{
    const char *wanted = luaL_optstring(L, 1, NULL);
    lua_settop(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushnil(L);
    lua_pushvalue(L, 2);
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    lua_call(L, lua_gettop(L) - 3, 1);
    if (wanted != NULL && lua_isstring(L, -1) && strcmp(wanted, lua_tostring(L, -1)) != 0)
        lua_pushnil(L);
    return 1;
}

/* Random numbers: xoshiro256**, one generator per state, seeded from the system. */
struct random {
    uint64_t s[4];
};

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t random_next(struct random *r)
{
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

static void random_seed(struct random *r, const uint64_t *seed)
{
    if (seed == NULL && getentropy(r->s, sizeof r->s) == 0)
        return;
    uint64_t x = seed == NULL ? (uint64_t)(uintptr_t)r ^ clock_ticks() : *seed;
    for (int i = 0; i < 4; i++) { /* splitmix64: never four zeros */
        uint64_t z = x += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->s[i] = z ^ (z >> 31);
    }
}

/* Even: the numbers below 2^64 mod (range + 1) are drawn again. */
static uint64_t random_below(struct random *r, uint64_t range)
{
    if (range == UINT64_MAX)
        return random_next(r);
    uint64_t count = range + 1, odd = (UINT64_MAX - count + 1) % count, x;
    do
        x = random_next(r);
    while (x < odd);
    return x % count;
}

static int math_random(lua_State *L)
{
    struct random *r = lua_touserdata(L, lua_upvalueindex(1));
    int count = lua_gettop(L);
    if (count == 0) {
        lua_pushnumber(L, (lua_Number)(random_next(r) >> 11) * 0x1p-53);
        return 1;
    }
    if (count > 2)
        return luaL_error(L, "wrong number of arguments");
    lua_Integer low = count == 1 ? 1 : luaL_checkinteger(L, 1);
    lua_Integer high = luaL_checkinteger(L, count);
    luaL_argcheck(L, low <= high, count, "interval is empty");
    uint64_t x = random_below(r, (uint64_t)high - (uint64_t)low);
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + x));
    return 1;
}

static int math_randomseed(lua_State *L)
{
    struct random *r = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_isnoneornil(L, 1)) {
        random_seed(r, NULL);
        return 0;
    }
    lua_Number number = luaL_checknumber(L, 1);
    uint64_t seed;
    memcpy(&seed, &number, sizeof seed);
    random_seed(r, &seed);
    return 0;
}

static void open_random(lua_State *L)
{
    lua_getglobal(L, LUA_MATHLIBNAME);
    random_seed(lua_newuserdata(L, sizeof(struct random)), NULL);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, math_random, 1);
    lua_setfield(L, -3, "random");
    lua_pushcclosure(L, math_randomseed, 1);
    lua_setfield(L, -2, "randomseed");
    lua_pop(L, 1);
}

static void open_searcher(lua_State *L)
{
    lua_getglobal(L, LUA_LOADLIBNAME);
    lua_getfield(L, -1, "searchers");
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, search_lua, 1);
    lua_rawseti(L, -2, 2); /* preload, Lua, C, all-in-one */
    lua_pop(L, 2);
}

/* Replaces field `name` of the table on top by `function`, whose first upvalue is what
 * was there. */
static void replace(lua_State *L, const char *name, lua_CFunction function)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void library_open(lua_State *L)
{
    static const struct {
        const char *library, *name;
        lua_CFunction function;
    } replacements[] = {
        {"_G", "print", base_print},
        {"_G", "load", base_load},
        {"_G", "loadfile", base_loadfile},
        {"_G", "dofile", base_dofile},
        {"_G", "xpcall", base_xpcall},
        {"_G", "setmetatable", guarded_setmetatable},
        {"_G", "getmetatable", visible_getmetatable},
        {LUA_COLIBNAME, "resume", coroutine_resume},
        {LUA_COLIBNAME, "wrap", coroutine_wrap},
        {LUA_OSLIBNAME, "exit", os_exit},
        {LUA_OSLIBNAME, "execute", os_execute},
        {LUA_OSLIBNAME, "setlocale", os_setlocale},
        {LUA_IOLIBNAME, "write", io_write},
        {LUA_IOLIBNAME, "popen", io_popen},
        {LUA_DBLIBNAME, "debug", debug_debug},
        {LUA_DBLIBNAME, "sethook", debug_sethook},
        {LUA_DBLIBNAME, "setmetatable", debug_setmetatable},
        {LUA_DBLIBNAME, "getmetatable", visible_getmetatable},
        {LUA_DBLIBNAME, "getupvalue", debug_getupvalue},
        {LUA_DBLIBNAME, "setupvalue", debug_setupvalue},
        {LUA_DBLIBNAME, "getlocal", debug_getlocal},
        {LUA_DBLIBNAME, "setlocal", debug_setlocal},
    };
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++) {
        lua_getglobal(L, replacements[i].library);
        replace(L, replacements[i].name, replacements[i].function);
        lua_pop(L, 1);
    }
    lua_getglobal(L, LUA_DBLIBNAME);
    lua_pushnil(L);
    lua_setfield(L, -2,
                 "getregistry"); /* where this daemon and the libraries keep theirs */
    lua_pop(L, 1);
    luaL_getmetatable(L, LUA_FILEHANDLE); /* whose __index is itself */
    replace(L, "write", file_write);
    lua_pop(L, 1);
    open_finalizers(L);
    open_searcher(L);
    open_random(L);
}
