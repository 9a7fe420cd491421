/* Handles of scripts: they are counted when they are opened and closed. Runs in the
 * thread that owns the state, and with it struct handles. `all` counts the handles of
 * every state. */
#include "lua/handle.h"

#include "base/clock.h"
#include "base/process.h"
#include "base/reserve.h"
#include "lua/guard.h"
#include "lua/limit.h"
#include "lua/state.h"

#include <errno.h>
#include <fcntl.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FORGOTTEN_MAX 32  /* handles of a state before its garbage is collected */
#define PATIENCE      200 /* ms for other threads to close states, */
#define CLOSING       (2 * LIMIT_CLOSING_TIME) /* and for all that are being closed */

static atomic_int all;
static bool (*evict)(void *arg); /* immutable once there are scripts, as is evict_arg */
static void *evict_arg;

void handle_set_eviction(bool (*function)(void *arg), void *arg)
{
    evict = function;
    evict_arg = arg;
}

static struct handles *handles_of(lua_State *L)
{
    return state_handles(state_of(L));
}

/* -- Counting -- */

static void count(struct handles *h, int change)
{
    h->open += change;
    if (h->kept > h->open)
        h->kept = h->open;
    atomic_fetch_add_explicit(&all, change, memory_order_relaxed);
}

void handle_note_child(lua_State *L, int change)
{
    struct handles *h = handles_of(L);
    h->children += change;
    if (h->children_kept > h->children)
        h->children_kept = h->children;
    count(h, change);
}

void handle_forget(struct handles *h)
{
    count(h, -h->open);
    process_kill_left(h);
}

void handle_collected(struct handles *h)
{
    h->kept = h->open;
    h->children_kept = h->children;
}

/* One forgotten child is enough: when it ends it is a zombie, and to start it took longer
 * than a collection does. Of files there may be some, unless all states together have
 * many. */
bool handle_is_due(const struct handles *h)
{
    int forgotten = h->open - h->kept;
    if (forgotten == 0)
        return false;
    return forgotten >= FORGOTTEN_MAX || h->children > h->children_kept ||
           atomic_load_explicit(&all, memory_order_relaxed) >= reserve_limit() / 4;
}

/* -- Making room -- */

static int collect(lua_State *L)
{
    guard_finalizers(L);
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

/* An error in a finalizer does not stop the function that opens a file. */
static void collect_garbage(lua_State *L)
{
    if (!lua_checkstack(L, LUA_MINSTACK))
        return;
    lua_pushcfunction(L, collect);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    limit_check(L);
    handle_collected(handles_of(L));
}

static void wait_for_room(void)
{
    int64_t until = clock_milliseconds() + PATIENCE;
    while (!reserve_spares() && clock_milliseconds() < until)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
}

/* Whether closing idle states can help: other states have files open. */
static bool others_have_some(const struct handles *h)
{
    return evict != NULL && atomic_load_explicit(&all, memory_order_relaxed) > h->open;
}

/* States that another thread has evicted may still be closed, and what they leave may be
 * taken by another script: so there is more than one look. */
static void wait_for_others(lua_State *L, const struct handles *h)
{
    int64_t until = clock_milliseconds() + CLOSING;
    while (!reserve_spares() && others_have_some(h) && evict(evict_arg) &&
           clock_milliseconds() < until) {
        wait_for_room();
        limit_check(L);
    }
}

bool handle_make_room(lua_State *L)
{
    const struct handles *h = handles_of(L);
    int many = h->kept < FORGOTTEN_MAX ? FORGOTTEN_MAX : h->kept;
    if (h->open - h->kept >= many)
        collect_garbage(L);
    if (reserve_spares())
        return true;
    if (h->open > 0)
        collect_garbage(L);
    wait_for_others(L, h);
    return reserve_spares();
}

void handle_make_processes(lua_State *L)
{
    collect_garbage(L);
    if (others_have_some(handles_of(L)))
        evict(evict_arg);
}

/* -- Files -- */

static int close_file(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    count(handles_of(L), -1);
    return luaL_fileresult(L, fclose(stream->f) == 0, NULL);
}

/* Counts the handle at `index`, if it is a file that was just opened by its name. */
static void count_file(lua_State *L, int index)
{
    luaL_Stream *stream = luaL_testudata(L, index, LUA_FILEHANDLE);
    if (stream == NULL || stream->closef == NULL || stream->closef == close_file)
        return;
    stream->closef = close_file;
    count(handles_of(L), 1);
}

/* For io.open and io.tmpfile. */
static int open_file(lua_State *L)
{
    if (!handle_make_room(L))
        return luaL_fileresult(L, 0, lua_tostring(L, 1));
    int results = guard_original(L);
    count_file(L, -results);
    return results;
}

/* -- For functions in C -- */

/* With errno on failure. */
static FILE *open_regular(const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    FILE *f = NULL;
    if (fstat(fd, &st) == 0) {
        errno = EISDIR;
        f = S_ISREG(st.st_mode) ? fdopen(fd, "r") : NULL;
    }
    if (f == NULL) {
        int error = errno;
        close(fd);
        errno = error;
    }
    return f;
}

FILE *handle_push_file(lua_State *L, const char *path)
{
    if (!handle_make_room(L))
        return NULL;
    luaL_Stream *stream = lua_newuserdata(L, sizeof *stream);
    stream->closef = NULL;
    luaL_setmetatable(L, LUA_FILEHANDLE);
    stream->f = open_regular(path);
    if (stream->f == NULL) {
        lua_pop(L, 1);
        return NULL;
    }
    stream->closef = close_file;
    count(handles_of(L), 1);
    return stream->f;
}

void handle_close_file(lua_State *L, int index)
{
    lua_pushvalue(L, index);
    lua_CFunction close_it = ((luaL_Stream *)lua_touserdata(L, -1))->closef;
    ((luaL_Stream *)lua_touserdata(L, -1))->closef = NULL;
    lua_pushcfunction(L, close_it);
    lua_insert(L, -2);
    lua_call(L, 1, 0);
}

/* -- The functions of io -- */

static bool names_a_file(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        return false;
    if (!handle_make_room(L))
        luaL_error(L, "cannot open file '%s' (%s)", lua_tostring(L, 1), strerror(errno));
    return true;
}

/* For io.input and io.output. */
static int use_file(lua_State *L)
{
    bool opened = names_a_file(L);
    int results = guard_original(L);
    if (opened && results > 0)
        count_file(L, -results);
    return results;
}

/* For io.lines: the first upvalue of the iterator that it returns is the file. */
static int read_lines(lua_State *L)
{
    bool opened = names_a_file(L);
    int results = guard_original(L);
    if (opened && results > 0 && lua_getupvalue(L, -results, 1) != NULL) {
        count_file(L, -1);
        lua_pop(L, 1);
    }
    return results;
}

/* -- Opening -- */

/* Pops the metatable of files, and gives files another, which closes them whatever a
 * script does. Scripts see the first one, and a method that they add to it works. */
static void hide_metatable(lua_State *L)
{
    static const char *const standard[] = {"stdin", "stdout", "stderr"};
    static const char *const kept[] = {"__gc", "__name", "__tostring"};
    lua_createtable(L, 0, 5);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++) {
        lua_getfield(L, -2, kept[i]);
        lua_setfield(L, -2, kept[i]);
    }
    lua_insert(L, -2);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "__index");
    lua_setfield(L, -2, "__metatable");
    lua_getglobal(L, LUA_IOLIBNAME);
    for (size_t i = 0; i < sizeof standard / sizeof *standard; i++) {
        lua_getfield(L, -1, standard[i]);
        lua_pushvalue(L, -3);
        lua_setmetatable(L, -2);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    lua_setfield(L, LUA_REGISTRYINDEX, LUA_FILEHANDLE);
}

void handle_open(lua_State *L)
{
    static const struct guard_row rows[] = {
        {LUA_IOLIBNAME, "open", open_file},   {LUA_IOLIBNAME, "tmpfile", open_file},
        {LUA_IOLIBNAME, "input", use_file},   {LUA_IOLIBNAME, "output", use_file},
        {LUA_IOLIBNAME, "lines", read_lines}, {0},
    };
    guard_replace_all(L, rows);
    luaL_getmetatable(L, LUA_FILEHANDLE);
    hide_metatable(L);
}
