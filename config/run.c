/* Running the configuration file in the Lua state of its load, with limits on the file,
 * its memory and its time (config/engine.h). All that belongs to the load is in struct
 * loader. The limits do not stop a command or a C function; the thread that waits for the
 * load limits those, see daemon/loading.h. Runs on the thread that loads; no locks. */
#include "config/run.h"

#include "base/reserve.h"
#include "config/report.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MAX   (4 * 1024 * 1024)  /* bytes of the file */
#define MEMORY_MAX (64 * 1024 * 1024) /* bytes of its Lua state */

bool run_begin(struct loader *l)
{
    l->engine = engine_create(MEMORY_MAX, CONFIG_LOAD_TIME);
    l->L = l->engine != NULL ? l->engine->L : NULL;
    return l->L != NULL;
}

/* -- The libraries -- */

static int no_exit(lua_State *L)
{
    return luaL_error(L, "os.exit would end the daemon, and is not for a configuration");
}

/* Upvalue: the original. */
static int no_finalizers(lua_State *L)
{
    if (lua_istable(L, 2)) {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a finalizer (__gc) is not for a configuration");
        lua_pop(L, 1);
    }
    int count = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, LUA_MULTRET);
    return lua_gettop(L);
}

/* Finalizers run where no hook can stop them, and the debug library could remove the
 * hook. */
void run_open_libraries(lua_State *L)
{
    static const char *const kept[] = {"traceback", "getinfo"};
    luaL_openlibs(L);
    lua_getglobal(L, LUA_OSLIBNAME);
    lua_pushcfunction(L, no_exit);
    lua_setfield(L, -2, "exit");
    lua_getglobal(L, "setmetatable");
    lua_pushcclosure(L, no_finalizers, 1);
    lua_setglobal(L, "setmetatable");
    luaL_getmetatable(L, LUA_FILEHANDLE);
    lua_pushliteral(L, LUA_FILEHANDLE);
    lua_setfield(L, -2, "__metatable");
    lua_getglobal(L, LUA_DBLIBNAME);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_getfield(L, -2, kept[i]);
        lua_setfield(L, -2, kept[i]);
    }
    lua_pushvalue(L, -1);
    lua_setglobal(L, LUA_DBLIBNAME);
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, LUA_DBLIBNAME);
    lua_pop(L, 5);
}

/* -- The file -- */

/* Waits for a pipe. 0, or ETIMEDOUT. */
static int await_input(const struct loader *l, int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int64_t left = engine_left(l->engine); /* CONFIG_LOAD_TIME at most */
    return left > 0 && poll(&p, 1, (int)left) > 0 ? 0 : ETIMEDOUT;
}

/* Appends all there is. 0 or an errno value. */
static int read_all(const struct loader *l, int fd, struct buffer *text)
{
    for (;;) {
        if (text->len > FILE_MAX)
            return EFBIG;
        if (!buffer_reserve(text, 65536))
            return ENOMEM;
        int error = await_input(l, fd);
        ssize_t n = error == 0 ? read(fd, text->data + text->len, 65536) : 0;
        if (error != 0 || n == 0)
            return error;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return errno;
        text->len += n > 0 ? (size_t)n : 0;
    }
}

/* A pipe can be read only once. If it is empty at a reload, the defaults would apply
 * without a message. */
static int read_opened(const struct loader *l, int fd, struct buffer *text)
{
    struct stat st;
    if (fstat(fd, &st) != 0)
        return errno;
    if (S_ISDIR(st.st_mode))
        return EISDIR;
    size_t start = text->len;
    int error = read_all(l, fd, text);
    return error == 0 && text->len == start && S_ISFIFO(st.st_mode) ? EPIPE : error;
}

static int read_file(const struct loader *l, struct buffer *text)
{
    int fd = reserve_open(l->file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0);
    if (fd < 0)
        return errno;
    int error = read_opened(l, fd, text);
    reserve_close(fd);
    return error;
}

static const char *describe_error(int error)
{
    return error == ETIMEDOUT ? "nothing came from it in time"
           : error == EPIPE   ? "the pipe is empty; a reload cannot read it again"
                              : strerror(error);
}

/* The first line for the shell, and the mark that some editors put at the start, are
 * turned into a comment. Two blanks are before the text. */
static void prepare(struct buffer *text)
{
    size_t start = 2;
    if (text->len >= start + 3 && memcmp(text->data + start, "\xef\xbb\xbf", 3) == 0) {
        memset(text->data + start, ' ', 3);
        start += 3;
    }
    if (text->len > start && text->data[start] == '#')
        memset(text->data, '-', 2);
}

/* Pushes the file's chunk. Only source is taken, as damaged bytecode can crash the
 * loader. false: it cannot be read, which was reported, or an error message is on top. */
static bool load_chunk(struct loader *l)
{
    struct buffer text = {0};
    int error = buffer_puts(&text, "  ") ? read_file(l, &text) : ENOMEM;
    if (error != 0) {
        buffer_free(&text);
        report_complain(l, "cannot be read: %s", describe_error(error));
        return false;
    }
    prepare(&text);
    const char *name = lua_pushfstring(l->L, "@%s", l->file);
    bool bytecode = text.len > 2 && text.data[2] == LUA_SIGNATURE[0];
    int status = luaL_loadbufferx(l->L, text.data + (bytecode ? 2 : 0),
                                  text.len - (bytecode ? 2 : 0), name, "t");
    buffer_free(&text);
    return status == LUA_OK;
}

/* -- Errors -- */

/* How Lua names the file in its messages: cut at the front when it is long. */
static void short_name(struct loader *l, char *name, size_t size)
{
    lua_Debug debug;
    lua_pushfstring(l->L, "@%s", l->file);
    luaL_loadbufferx(l->L, "", 0, lua_tostring(l->L, -1), "t");
    lua_getinfo(l->L, ">S", &debug);
    snprintf(name, size, "%s", debug.short_src);
    lua_pop(l->L, 1);
}

/* Reports the error at the top. Lua's own errors begin with the file's short name and the
 * line, and get the whole name; others get it put before them. */
static void complain_of_error(struct loader *l)
{
    char name[LUA_IDSIZE];
    const char *message = lua_tostring(l->L, -1);
    if (message == NULL) {
        report_complain(l, "the file raised an error without a message (%s)",
                        luaL_typename(l->L, -1));
        return;
    }
    short_name(l, name, sizeof name);
    size_t len = strlen(name);
    if (strncmp(message, name, len) != 0 || message[len] != ':') {
        report_complain(l, "%s", message);
        return;
    }
    fprintf(l->errors, "%s%s\n", l->file, message + len);
    l->mistakes++;
}

/* The library's buffers raise an error of their own when there is no memory. */
static void complain_of_status(struct loader *l, int status)
{
    const char *message = lua_tostring(l->L, -1);
    if (status == LUA_ERRMEM ||
        (message != NULL && strstr(message, "not enough memory") != NULL))
        report_complain(l, "needs more than %d MiB of memory",
                        MEMORY_MAX / (1024 * 1024));
    else
        complain_of_error(l);
}

bool run_file(struct loader *l)
{
    int top = lua_gettop(l->L), before = l->mistakes;
    int status = load_chunk(l) ? lua_pcall(l->L, 0, 0, 0) : LUA_ERRSYNTAX;
    if (status != LUA_OK && l->mistakes == before)
        complain_of_status(l, status);
    lua_settop(l->L, top);
    if (l->engine->late && l->mistakes == before) /* it went on after it was stopped */
        report_complain(l, "took longer than %d seconds", CONFIG_LOAD_TIME / 1000);
    return l->mistakes == before;
}
