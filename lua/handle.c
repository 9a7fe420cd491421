/* Handles of scripts: counted when they are opened and closed. Runs in the thread that
 * owns the state, whose struct handles it is. `all` counts those of every state. */
#include "lua/handle.h"

#include "base/clock.h"
#include "base/process.h"
#include "base/reserve.h"
#include "lua/guard.h"
#include "lua/limit.h"
#include "lua/state.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    FORGOTTEN_MAX =
        32,         /* handles that a state may have left open before it is looked at */
    PATIENCE = 200, /* ms for evicted states to be closed, in another thread perhaps */
};

static atomic_int all;
static bool (*evict)(void *arg); /* immutable once there are scripts, as is: */
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

/* A child that was forgotten is a zombie when it ends, and cost more than a collection
 * does. Files may pile up a little, unless all states' together are many. */
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

/* What a finalizer raises is nothing to whoever opens a file. */
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

static bool wait_for_room(void)
{
    int64_t until = clock_milliseconds() + PATIENCE;
    while (!reserve_spares()) {
        if (clock_milliseconds() >= until)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    return true;
}

/* Whether closing idle states may help: other states have files open. */
static bool others_have_some(const struct handles *h)
{
    return evict != NULL && atomic_load_explicit(&all, memory_order_relaxed) > h->open;
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
    bool spares;
    while (!(spares = reserve_spares()) && others_have_some(h) && evict(evict_arg) &&
           !wait_for_room())
        limit_check(L);
    return spares || reserve_spares();
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

/* Of a handle that was just opened by its name. */
static void count_file(lua_State *L, int index)
{
    luaL_Stream *stream = luaL_testudata(L, index, LUA_FILEHANDLE);
    if (stream == NULL || stream->closef == NULL || stream->closef == close_file)
        return;
    stream->closef = close_file;
    count(handles_of(L), 1);
}

/* io.open, io.tmpfile */
static int open_file(lua_State *L)
{
    if (!handle_make_room(L))
        return luaL_fileresult(L, 0, lua_tostring(L, 1));
    int results = guard_original(L);
    count_file(L, -results);
    return results;
}

static bool names_a_file(lua_State *L)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        return false;
    if (!handle_make_room(L))
        luaL_error(L, "cannot open file '%s' (%s)", lua_tostring(L, 1), strerror(errno));
    return true;
}

/* io.input, io.output */
static int use_file(lua_State *L)
{
    bool opened = names_a_file(L);
    int results = guard_original(L);
    if (opened && results > 0)
        count_file(L, -results);
    return results;
}

/* The iterator that io.lines returns has its file as its first upvalue. */
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
