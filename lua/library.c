/* The standard library as scripts get it: replacements of those of its functions that
 * would reach beyond a script's own request. They run in the thread that owns the state;
 * what they keep is in the script (lua/script.h) or in upvalues. */
#include "lua/library.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/process.h"
#include "lua/chunk.h"
#include "lua/guard.h"
#include "lua/handle.h"
#include "lua/limit.h"
#include "lua/state.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_LINE_MAX 4096 /* bytes of a line on standard output before it is cut */

/* For functions that end with what they have called. */
static int all_results(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* -- Loading: source only, and remembered -- */

/* Gives the function on top the value at `index` as its _ENV. */
static void set_env(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    if (lua_setupvalue(L, -2, 1) == NULL)
        lua_pop(L, 1);
}

static int base_load(lua_State *L)
{
    bool has_env = !lua_isnone(L, 4);
    size_t len;
    const char *text = lua_tolstring(L, 1, &len);
    const char *name = luaL_optstring(L, 2, text == NULL ? "=(load)" : text);
    const char *mode = luaL_optstring(L, 3, "t");
    if (text == NULL)
        luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 5);
    int status = text == NULL ? chunk_load_parts(L, name, mode)
                              : chunk_load(L, text, len, name, mode);
    limit_check(L);
    if (status != LUA_OK) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    if (has_env)
        set_env(L, 4);
    return 1;
}

/* Pushes the chunk of a file, or a message. */
static bool load_file(lua_State *L, const char *name)
{
    int error = state_load_file(L, name);
    if (error == ENOENT)
        state_note_absent(L, name);
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
    if (has_env)
        set_env(L, 3);
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

/* -- Standard output: the log -- */

static void output(lua_State *L, const char *text, size_t len)
{
    struct buffer *line = state_output(state_of(L));
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
        return guard_original(L);
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
        return guard_original(L);
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

static bool lacks_processes(int error)
{
    return error == EAGAIN || error == ENOMEM;
}

static int os_execute(lua_State *L)
{
    const char *command = luaL_optstring(L, 1, NULL);
    if (command == NULL) {
        lua_pushboolean(L, access("/bin/sh", X_OK) == 0);
        return 1;
    }
    pid_t pid = process_start(command, -1, -1);
    if (pid < 0 && lacks_processes(errno)) {
        handle_make_processes(L);
        pid = process_start(command, -1, -1);
    }
    return pid < 0 ? luaL_execresult(L, -1) : await(L, pid);
}

struct pipe_stream {
    luaL_Stream stream; /* first: liolib's methods see this */
    pid_t pid;
};

static int close_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    handle_note_child(L, -1);
    fclose(p->stream.f);
    return await(L, p->pid);
}

/* Of a pipe that was forgotten until its state is closed. */
static int drop_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    handle_note_child(L, -1);
    fclose(p->stream.f);
    process_abandon(p->pid);
    return 0;
}

/* Of a pipe that was forgotten while its state goes on. What was written into it may be a
 * mail that is to be sent, so its child is given its time, without waiting for it. */
static int leave_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    handle_note_child(L, -1);
    fclose(p->stream.f);
    return process_leave(p->pid, state_handles(state_of(L))) ? 0 : await(L, p->pid);
}

/* What a handle still holds back when its state is closed goes where there is room for
 * it at once: nobody reads from a pipe of the script's own, or from some FIFO, any more.
 * The description is this handle's alone, but for those of the daemon's standard
 * streams. */
static void never_wait(const luaL_Stream *stream)
{
    struct stat st;
    int fd = fileno(stream->f);
    int flags = fd > STDERR_FILENO && fstat(fd, &st) == 0 && !S_ISREG(st.st_mode)
                    ? fcntl(fd, F_GETFL)
                    : -1;
    if (flags >= 0)
        fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* The finalizer of handles. Its upvalue: the C library's. */
static int file_gc(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    bool closing = limit_of(L)->closing;
    if (closing && stream->closef != NULL && stream->f != NULL)
        never_wait(stream);
    if (stream->closef == close_pipe)
        stream->closef = closing ? drop_pipe : leave_pipe;
    return guard_original(L);
}

/* false with errno, and nothing is left open. */
static bool start_pipe(struct pipe_stream *p, const char *command, bool reading)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return false;
    int ours = fds[reading ? 0 : 1], theirs = fds[reading ? 1 : 0];
    p->stream.f = fdopen(ours, reading ? "r" : "w");
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
    }
    errno = error;
    return p->pid >= 0;
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
    bool started = handle_make_room(L) && start_pipe(p, command, reading);
    if (!started && lacks_processes(errno)) {
        handle_make_processes(L);
        started = start_pipe(p, command, reading);
    }
    if (!started)
        return luaL_fileresult(L, 0, command);
    handle_note_child(L, 1);
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
    lua_pushvalue(L, 1); /* keeps `wanted` */
    lua_pushnil(L);
    lua_replace(L, 1); /* to be told, not to set */
    guard_original(L);
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
        {LUA_OSLIBNAME, "exit", os_exit},
        {LUA_OSLIBNAME, "execute", os_execute},
        {LUA_OSLIBNAME, "setlocale", os_setlocale},
        {LUA_IOLIBNAME, "write", io_write},
        {LUA_IOLIBNAME, "popen", io_popen},
    };
    static const luaL_Reg methods[] = {
        {"write", file_write}, {"__gc", file_gc}, {NULL, NULL}};
    for (size_t i = 0; i < sizeof replacements / sizeof *replacements; i++) {
        lua_getglobal(L, replacements[i].library);
        guard_replace(L, replacements[i].name, replacements[i].function);
        lua_pop(L, 1);
    }
    handle_open_library(L, methods);
    guard_open(L);
    open_random(L);
}
