/* Children of hooks. No signal comes to the thread of hooks, so it looks from time to
 * time whether the child has ended, and whether its own time is over. A child that it
 * reads from can only be killed by another thread, see daemon/hooks.c.
 *
 * Runs on the thread that owns the engine; a pipe is Lua's, and waited for when it is
 * closed. No locks. */
#include "config/child.h"

#include "base/process.h"
#include "config/engine.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LONGEST_NAP 20000000 /* nanoseconds between two looks */

/* Waits for the end of a child, and pushes what os.execute returns of it. */
static int await(lua_State *L, pid_t pid)
{
    int status;
    struct timespec nap = {.tv_nsec = LONGEST_NAP / 64};
    struct engine *e = engine_of(L);
    while (process_is_alive(pid)) {
        if (e->closing || engine_left(e) == 0) {
            process_abandon(pid);
            return e->closing ? 0 : engine_raise_late(L, 1);
        }
        nanosleep(&nap, NULL);
        if (nap.tv_nsec < LONGEST_NAP)
            nap.tv_nsec *= 2;
    }
    return luaL_execresult(L, process_wait(pid, &status) ? status : -1);
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
    luaL_Stream stream; /* first, as liolib's methods use it */
    pid_t pid;
};

/* As the finalizer, too. */
static int close_pipe(lua_State *L)
{
    struct pipe_stream *p = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    fclose(p->stream.f);
    return await(L, p->pid);
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
    if (!start_pipe(p, command, reading))
        return luaL_fileresult(L, 0, command);
    process_set_owner(p->pid, engine_of(L)->owner);
    p->stream.closef = close_pipe;
    return 1;
}

/* Sets a function of a library that the file may have taken away. */
static void replace(lua_State *L, const char *library, const char *name,
                    lua_CFunction function)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, "_LOADED");
    if (lua_getfield(L, -1, library) == LUA_TTABLE) {
        lua_pushcfunction(L, function);
        lua_setfield(L, -2, name);
    }
    lua_pop(L, 2);
}

void child_replace(lua_State *L)
{
    replace(L, LUA_OSLIBNAME, "execute", os_execute);
    replace(L, LUA_IOLIBNAME, "popen", io_popen);
}
