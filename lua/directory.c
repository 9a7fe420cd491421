/* The working directory that scripts see. The replaced functions run in the thread that
 * owns the state; `shared` is atomic, and set before the first state is made. */
#include "lua/directory.h"

#include "base/log.h"
#include "lua/guard.h"
#include "lua/state.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_bool shared;
static _Thread_local struct directory *of_thread; /* NULL: it shares the daemon's */

/* -- Threads -- */

void directory_make_own(struct directory *d)
{
#ifdef __linux__
    if (unshare(CLONE_FS) == 0) {
        d->own = true;
        of_thread = d;
        return;
    }
    int error = errno;
#else
    int error = ENOTSUP;
#endif
    if (!atomic_exchange(&shared, true))
        log_warning("scripts cannot have a working directory of their own (%s): Lua's own"
                    " functions look relative names up beside the script, C modules do"
                    " not",
                    strerror(error));
}

/* Whether the thread is in that directory and the path still leads there. */
static bool is_in(const struct directory *d, const char *path, size_t len)
{
    if (d->at.source == NULL || !source_is_current(&d->at))
        return false;
    const char *here = source_path(&d->at);
    return strncmp(here, path, len) == 0 && here[len] == '\0';
}

/* To change the directory takes a walk through the file system, so it is done only when
 * the path is another, or leads to another directory. When that fails the thread goes to
 * "/": no script runs in the directory of the one before it. It does fail when a state is
 * closed after its directory was removed. */
void directory_enter(struct directory *d, const char *script)
{
    const char *slash = strrchr(script, '/');
    size_t len = slash == NULL ? 0 : slash == script ? 1 : (size_t)(slash - script);
    if (!d->own || len == 0 || is_in(d, script, len))
        return;
    source_release(&d->at);
    char *path = strndup(script, len);
    if (path != NULL && chdir(path) == 0)
        source_note_directory(path, ".", &d->at);
    else if (chdir("/") < 0)
        log_error("cannot change to the directory /: %s", strerror(errno));
    free(path);
}

bool directory_renew(const char *script)
{
    if (of_thread == NULL || script[0] != '/')
        return true;
    directory_enter(of_thread, script);
    return of_thread->at.source != NULL;
}

void directory_release(struct directory *d)
{
    source_release(&d->at);
    if (of_thread == d)
        of_thread = NULL;
}

/* -- Names of files -- */

/* Makes the argument absolute if it is a relative name; leaves any other to the
 * function. */
static void resolve(lua_State *L, int arg)
{
    if (lua_type(L, arg) != LUA_TSTRING && lua_type(L, arg) != LUA_TNUMBER)
        return;
    size_t len;
    const char *name = lua_tolstring(L, arg, &len);
    if (len == 0 || strlen(name) != len)
        return;
    state_push_path(L, name);
    lua_replace(L, arg);
}

static int with_name(lua_State *L)
{
    resolve(L, 1);
    return guard_original(L);
}

static int with_two_names(lua_State *L)
{
    resolve(L, 1);
    resolve(L, 2);
    return guard_original(L);
}

/* For package.loadlib. A name without a slash is looked for where the system keeps
 * libraries. */
static int with_library(lua_State *L)
{
    const char *name = lua_tostring(L, 1);
    if (name != NULL && strchr(name, '/') != NULL)
        resolve(L, 1);
    return guard_original(L);
}

/* package.searchpath(name, templates, [separator, replacement]), written anew: to make
 * the templates absolute would not do, as the directory's name may have a ';' or '?' in
 * it. */
static int search_path(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *rest = luaL_checkstring(L, 2);
    const char *separator = luaL_optstring(L, 3, "."), *by = luaL_optstring(L, 4, "/");
    if (*separator != '\0')
        name = luaL_gsub(L, name, separator, by);
    lua_pushliteral(L, "");
    for (rest += strspn(rest, ";"); *rest != '\0'; rest += strspn(rest, ";")) {
        size_t len = strcspn(rest, ";");
        lua_pushlstring(L, rest, len);
        rest += len;
        const char *file = luaL_gsub(L, lua_tostring(L, -1), "?", name);
        if (access(state_push_path(L, file), R_OK) == 0)
            return 1;
        lua_pushfstring(L, "\n\tno file '%s'", lua_tostring(L, -1));
        lua_insert(L, -4);
        lua_pop(L, 3);
        lua_concat(L, 2);
    }
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

/* -- Commands -- */

/* Pushes text as one word for the shell. */
static void push_quoted(lua_State *L, const char *text)
{
    lua_pushliteral(L, "'");
    luaL_gsub(L, text, "'", "'\\''");
    lua_pushliteral(L, "'");
    lua_concat(L, 3);
}

static int with_command(lua_State *L)
{
    if (!lua_isstring(L, 1)) /* os.execute() asks if there is a shell */
        return guard_original(L);
    lua_pushliteral(L, "cd -- ");
    push_quoted(L, state_dir(state_of(L)));
    lua_pushliteral(L, " || exit\n");
    lua_pushvalue(L, 1);
    lua_concat(L, 4);
    lua_replace(L, 1);
    return guard_original(L);
}

void directory_open(lua_State *L)
{
    static const struct guard_row rows[] = {
        {LUA_IOLIBNAME, "open", with_name},
        {LUA_IOLIBNAME, "lines", with_name},
        {LUA_IOLIBNAME, "input", with_name},
        {LUA_IOLIBNAME, "output", with_name},
        {LUA_IOLIBNAME, "popen", with_command},
        {LUA_OSLIBNAME, "execute", with_command},
        {LUA_OSLIBNAME, "remove", with_name},
        {LUA_OSLIBNAME, "rename", with_two_names},
        {LUA_LOADLIBNAME, "loadlib", with_library},
        {LUA_LOADLIBNAME, "searchpath", search_path},
        {0},
    };
    if (atomic_load(&shared))
        guard_replace_all(L, rows);
}
