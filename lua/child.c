/* os.execute and io.popen. They run in the thread that owns the state, and block until
 * the child has ended. Pipes are counted as handles of the state (lua/handle.h). */
#include "lua/child.h"

#include "base/process.h"
#include "lua/guard.h"
#include "lua/handle.h"
#include "lua/limit.h"
#include "lua/state.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Waits for the end of a child, and pushes what os.execute returns of it. Once the script
 * has no more time, or its state is being closed, the child and all that it started are
 * killed. */
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
    luaL_Stream stream; /* first, as liolib's methods use it */
    pid_t pid;
};

static int close_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    handle_note_child(L, -1);
    fclose(p->stream.f);
    return await(L, p->pid);
}

/* Closes a pipe that was still open when its state is closed. */
static int drop_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    handle_note_child(L, -1);
    fclose(p->stream.f);
    process_abandon(p->pid);
    return 0;
}

/* Closes a pipe that the script forgot, and that is collected while the state goes on.
 * What was written to it may be a mail that is to be sent, so the child may go on as
 * well, and nobody waits for it. */
static int leave_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    handle_note_child(L, -1);
    fclose(p->stream.f);
    return process_leave(p->pid, state_handles(state_of(L))) ? 0 : await(L, p->pid);
}

/* Makes the file's descriptor non-blocking, for its last write when its state is closed:
 * nobody may read any more from a pipe of the script's own, or from a FIFO. No other
 * process is hurt, as a descriptor from STDERR_FILENO + 1 on is this handle's alone. */
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

/* The finalizer of files. */
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

static bool start_pipe(struct pipe_stream *p, const char *command, bool reading)
{
    p->pid = process_start_piped(command, reading, &p->stream.f);
    return p->pid >= 0;
}

static int io_popen(lua_State *L)
{
    const char *command = luaL_checkstring(L, 1);
    const char *mode = luaL_optstring(L, 2, "r");
    bool reading = strcmp(mode, "r") == 0;
    luaL_argcheck(L, reading || strcmp(mode, "w") == 0, 2, "invalid mode");
    struct pipe_stream *p = lua_newuserdata(L, sizeof *p);
    p->stream.closef = NULL; /* closed, in case an error comes before it is open */
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

void child_open(lua_State *L)
{
    static const struct guard_row rows[] = {
        {LUA_OSLIBNAME, "execute", os_execute},
        {LUA_IOLIBNAME, "popen", io_popen},
        {0},
    };
    guard_replace_all(L, rows);
    luaL_getmetatable(L, LUA_FILEHANDLE);
    guard_replace(L, "__gc", file_gc);
    lua_pop(L, 1);
}
