/* Keeps a script under its limits, whatever it calls. Coroutines, error handlers and
 * finalizers run so that a limit can end them. getmetatable, setmetatable and debug
 * cannot break what the limits rely on. These functions run in the thread that owns the
 * state; what they keep is in its registry or in upvalues. */
#include "lua/guard.h"

#include "config.h"
#include "lua/limit.h"
#include "lua/state.h"

#include <lauxlib.h>
#include <limits.h>
#include <lualib.h>

/* In the registry: the metatables of objects with finalizers, as weak keys. */
#define FINALIZERS "luafcgid2.finalizers"

int guard_all_results(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L);
}

/* For functions that errors and yields leave by the million within a request:
 * ThreadSanitizer keeps each such call in a list that has an end. */
#define LEFT_BY_JUMPS __attribute__((no_sanitize_thread))

/* A script can get hold of any function that Lua calls, by debug and from a hook. So the
 * library's own function is called from C: that works as it has no upvalues. A function
 * with upvalues is another replacement, and Lua calls it. */
LEFT_BY_JUMPS int guard_original(lua_State *L)
{
    if (lua_getupvalue(L, lua_upvalueindex(1), 1) == NULL)
        return lua_tocfunction(L, lua_upvalueindex(1))(L);
    lua_pop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_callk(L, lua_gettop(L) - 1, LUA_MULTRET, 0, guard_all_results);
    return lua_gettop(L);
}

/* -- Coroutines: limits must reach the one that runs -- */

/* Resumes `co` with the `count` arguments on its stack. Returns how many values it gave,
 * which are then on top of L; or -1 with an error value on top of L. Raises the error of
 * a broken limit. When `co` waits, L waits as well, and goes on with `k`. */
static int go_on(lua_State *L, lua_State *co, int count, lua_KFunction k)
{
    int status = limit_resume(limit_of(L), co, L, count);
    if (status == LIMIT_WAITS)
        return lua_yieldk(L, 0, 0, k); /* does not return */
    if (status != LUA_OK && status != LUA_YIELD) {
        limit_check(L);
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

/* The same for `count` values on top of L and a coroutine that the script has chosen,
 * which may have ended. */
static int resume(lua_State *L, lua_State *co, int count, lua_KFunction k)
{
    if ((lua_status(co) == LUA_OK && lua_gettop(co) == 0) || limit_has_ended(co)) {
        lua_pushliteral(L, "cannot resume dead coroutine");
        return -1;
    }
    if (!lua_checkstack(co, count)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, count);
    return go_on(L, co, count, k);
}

static int resumed(lua_State *L, int results)
{
    lua_pushboolean(L, results >= 0);
    int count = results >= 0 ? results : 1;
    lua_insert(L, -count - 1);
    return count + 1;
}

static int resume_after_wait(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return resumed(L, go_on(L, lua_tothread(L, 1), 0, resume_after_wait));
}

static int coroutine_resume(lua_State *L)
{
    lua_State *co = lua_tothread(L, 1);
    luaL_argcheck(L, co != NULL, 1, "coroutine expected");
    return resumed(L, resume(L, co, lua_gettop(L) - 1, resume_after_wait));
}

static int unwrapped(lua_State *L, int results)
{
    if (results >= 0)
        return results;
    if (lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int wrapped_after_wait(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return unwrapped(L, go_on(L, co, 0, wrapped_after_wait));
}

static int wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(1));
    return unwrapped(L, resume(L, co, lua_gettop(L), wrapped_after_wait));
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

/* -- The coroutine of the request, which to scripts is the main one -- */

static bool is_base(lua_State *L)
{
    return L == limit_of(L)->base;
}

/* The state's own main coroutine is out of reach of scripts, even of finalizers that run
 * in it: a hook there would see what makes and closes states. */
static bool is_hidden(lua_State *L)
{
    return L == limit_of(L)->main.L;
}

static int coroutine_running(lua_State *L)
{
    if (is_hidden(L))
        lua_rawgetp(L, LUA_REGISTRYINDEX, &limit_of(L)->base);
    else
        lua_pushthread(L);
    lua_pushboolean(L, is_hidden(L) || is_base(L));
    return 2;
}

static int coroutine_isyieldable(lua_State *L)
{
    lua_pushboolean(L, lua_isyieldable(L) && !is_base(L));
    return 1;
}

LEFT_BY_JUMPS static int coroutine_yield(lua_State *L)
{
    if (!is_base(L))
        return lua_yield(L, lua_gettop(L));
    lua_pushliteral(L, "attempt to yield from outside a coroutine");
    return lua_error(L);
}

/* -- Handlers and finalizers: Lua calls them with hooks off -- */

/* Does not call the handler for the error of a broken limit: it would run inside the
 * hook, where no hook could end it. */
static int guarded_handler(lua_State *L)
{
    if (limit_broken(limit_of(L)) != LIMIT_NONE)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

/* Does not let a script catch the error of a broken limit. The hook raises the next one,
 * but not where Lua had turned hooks off: after it has caught an error it turns them off
 * again. */
LEFT_BY_JUMPS static int base_pcall(lua_State *L)
{
    int count = guard_original(L);
    limit_check(L);
    return count;
}

static int base_xpcall(lua_State *L)
{
    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 2);
    return base_pcall(L);
}

/* Calls a finalizer or a hook in a coroutine of its own. Lua has turned hooks off in the
 * coroutine that calls it, so no limit could end it there. */
static int guarded_call(lua_State *L)
{
    struct limit *limit = limit_of(L);
    if (limit->closing && limit_broken(limit) != LIMIT_NONE)
        return 0; /* all finalizers together have had their time */
    int count = lua_gettop(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_State *co = lua_newthread(L);
    lua_insert(L, 1);
    lua_xmove(L, co, count + 1);
    return go_on(L, co, count, NULL) >= 0 ? 0 : lua_error(L);
}

/* Guards the finalizer of the metatable on top. Returns whether it has one. */
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

static const char hidden; /* its address is a key in hidden metatables */

void guard_set_hidden_metatable(lua_State *L)
{
    lua_pushboolean(L, 1);
    lua_rawsetp(L, -2, &hidden);
    lua_setmetatable(L, -2);
}

static bool has_hidden_metatable(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return false;
    bool found = lua_rawgetp(L, -1, &hidden) != LUA_TNIL;
    lua_pop(L, 2);
    return found;
}

/* getmetatable and debug.getmetatable */
static int visible_getmetatable(lua_State *L)
{
    luaL_checkany(L, 1);
    /* lua/handle.c keeps in __metatable what scripts are to see. */
    if (luaL_testudata(L, 1, LUA_FILEHANDLE) != NULL) {
        luaL_getmetafield(L, 1, "__metatable");
        return 1;
    }
    if (!has_hidden_metatable(L, 1))
        return guard_original(L);
    lua_pushnil(L);
    return 1;
}

/* setmetatable and debug.setmetatable */
static int guarded_setmetatable(lua_State *L)
{
    if (lua_gettop(L) >= 2 && has_hidden_metatable(L, 1) &&
        luaL_callmeta(L, 1, GUARD_REVEAL))
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
    return guard_original(L);
}

/* Guards the metatables that C functions have registered. Finalizers in C stay as they
 * are. */
static void guard_registered(lua_State *L)
{
    lua_pushnil(L);
    while (lua_next(L, LUA_REGISTRYINDEX)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_istable(L, -1)) {
            lua_pushliteral(L, "__gc");
            lua_rawget(L, -2);
            bool of_c = lua_iscfunction(L, -1);
            lua_pop(L, 1);
            if (!of_c)
                guard_finalizer(L);
        }
        lua_pop(L, 1);
    }
}

/* A script may have put a finalizer into its metatable after it called setmetatable. */
static int guard_each_finalizer(lua_State *L)
{
    guard_registered(L);
    if (lua_getfield(L, LUA_REGISTRYINDEX, FINALIZERS) != LUA_TTABLE)
        return 0;
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        lua_pop(L, 1);
        guard_finalizer(L);
    }
    return 0;
}

void guard_finalizers(lua_State *L)
{
    int collects = lua_gc(L, LUA_GCISRUNNING, 0);
    lua_gc(L, LUA_GCSTOP, 0);
    lua_pushcfunction(L, guard_each_finalizer);
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
    lua_setfield(L, LUA_REGISTRYINDEX, FINALIZERS);
}

static int debug_sethook(lua_State *L)
{
    enum limit_kind kind = limit_broken(limit_of(L));
    if (kind != LIMIT_NONE)
        return luaL_error(L, "%s", limit_message(kind));
    int hook = lua_isthread(L, 1) ? 2 : 1;
    if (is_hidden(hook == 2 ? lua_tothread(L, 1) : L))
        return 0;
    if (lua_isfunction(L, hook)) {
        lua_pushvalue(L, hook);
        lua_pushcclosure(L, guarded_call, 1);
        lua_replace(L, hook);
    }
    return guard_original(L);
}

/* -- What debug could break: the C functions' own variables, and what a userdata is -- */

/* Hides the upvalues of C functions: among them are the functions that were replaced. */
static int debug_getupvalue(lua_State *L)
{
    return lua_iscfunction(L, 1) ? 0 : guard_original(L);
}

static int debug_setupvalue(lua_State *L)
{
    luaL_argcheck(L, !lua_iscfunction(L, 1), 1, "Lua function expected");
    return guard_original(L);
}

/* For debug.getlocal and setlocal: finds the frame that their arguments name. Returns its
 * coroutine, or NULL when the frame is a C function's. */
static lua_State *frame_of_lua(lua_State *L, lua_Debug *ar)
{
    int arg = lua_isthread(L, 1) ? 2 : 1;
    lua_State *of = arg == 2 ? lua_tothread(L, 1) : L;
    lua_Integer level = luaL_checkinteger(L, arg);
    luaL_argcheck(L, level >= 0 && level < INT_MAX && lua_getstack(of, (int)level, ar),
                  arg, "level out of range");
    lua_getinfo(of, "S", ar);
    return *ar->what == 'C' ? NULL : of;
}

static int debug_getlocal(lua_State *L)
{
    lua_Debug ar;
    bool of_function = lua_isfunction(L, lua_isthread(L, 1) ? 2 : 1);
    return !of_function && frame_of_lua(L, &ar) == NULL ? 0 : guard_original(L);
}

/* Lua relies on the values of variables that have no name of their own, such as the state
 * of a loop. Additional arguments, with a negative number, are the script's. */
static bool is_settable(lua_State *of, const lua_Debug *ar, int n)
{
    const char *name = lua_getlocal(of, ar, n);
    if (name == NULL)
        return true;
    lua_pop(of, 1);
    return *name != '(' || n < 0;
}

static int debug_setlocal(lua_State *L)
{
    lua_Debug ar;
    lua_State *of = frame_of_lua(L, &ar);
    int n = (int)luaL_checkinteger(L, lua_isthread(L, 1) ? 3 : 2);
    if (of == NULL)
        return luaL_error(L, "the variables of a C function cannot be set");
    if (!lua_checkstack(of, 1))
        return luaL_error(L, "stack overflow");
    if (!is_settable(of, &ar, n))
        return luaL_error(L, "only variables with a name can be set");
    return guard_original(L);
}

/* Does nothing. Lua's own would read commands from standard input, which is empty. */
static int debug_debug(lua_State *L)
{
    (void)L;
    return 0;
}

/* Refuses light userdata, too: debug.upvalueid makes them, and with the metatable of an
 * object a C function would take one for that object. */
static int debug_setmetatable(lua_State *L)
{
    luaL_argcheck(L, !lua_isuserdata(L, 1), 1, "a userdata stays what it is");
    return guarded_setmetatable(L);
}

/* Hides user values: C functions keep in them what they rely on. */
static int debug_getuservalue(lua_State *L)
{
    lua_pushnil(L);
    return 1;
}

static int debug_setuservalue(lua_State *L)
{
    return luaL_argerror(L, 1, "a userdata stays what it is");
}

/* Refuses to open Lua's own libraries again: that would give a script the functions that
 * were replaced. */
static int package_loadlib(lua_State *L)
{
    static const lua_CFunction openers[] = {
        luaopen_base, luaopen_coroutine, luaopen_debug,  luaopen_io,    luaopen_math,
        luaopen_os,   luaopen_package,   luaopen_string, luaopen_table, luaopen_utf8,
    };
    int count = guard_original(L);
    lua_CFunction found = lua_tocfunction(L, -count);
    for (size_t i = 0; found != NULL && i < sizeof openers / sizeof *openers; i++) {
        if (found != openers[i])
            continue;
        lua_pushnil(L);
        lua_pushliteral(L, "the standard library is open already");
        lua_pushliteral(L, "init");
        return 3;
    }
    return count;
}

/* -- Opening -- */

void guard_replace(lua_State *L, const char *name, lua_CFunction function)
{
    lua_getfield(L, -1, name);
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void guard_replace_all(lua_State *L, const struct guard_row *rows)
{
    for (const struct guard_row *row = rows; row->library != NULL; row++) {
        lua_getglobal(L, row->library);
        guard_replace(L, row->name, row->function);
        lua_pop(L, 1);
    }
}

void guard_replace_all_for_hooks(lua_State *L, const struct guard_row *rows)
{
    for (const struct guard_row *row = rows; row->library != NULL; row++) {
        lua_getglobal(L, row->library);
        lua_getfield(L, -1, row->name);
        lua_pushboolean(L, true);
        lua_pushcclosure(L, row->function, GUARD_OF_HOOKS);
        lua_setfield(L, -2, row->name);
        lua_pop(L, 1);
    }
}

guard_look guard_check(lua_State *L, int upvalue)
{
    return lua_toboolean(L, lua_upvalueindex(upvalue)) ? config_hooks_check : limit_check;
}

void guard_open(lua_State *L)
{
    static const struct guard_row rows[] = {
        {"_G", "pcall", base_pcall},
        {"_G", "xpcall", base_xpcall},
        {"_G", "setmetatable", guarded_setmetatable},
        {"_G", "getmetatable", visible_getmetatable},
        {LUA_LOADLIBNAME, "loadlib", package_loadlib},
        {LUA_COLIBNAME, "resume", coroutine_resume},
        {LUA_COLIBNAME, "wrap", coroutine_wrap},
        {LUA_COLIBNAME, "running", coroutine_running},
        {LUA_COLIBNAME, "isyieldable", coroutine_isyieldable},
        {LUA_COLIBNAME, "yield", coroutine_yield},
        {LUA_DBLIBNAME, "debug", debug_debug},
        {LUA_DBLIBNAME, "sethook", debug_sethook},
        {LUA_DBLIBNAME, "setmetatable", debug_setmetatable},
        {LUA_DBLIBNAME, "getmetatable", visible_getmetatable},
        {LUA_DBLIBNAME, "getupvalue", debug_getupvalue},
        {LUA_DBLIBNAME, "setupvalue", debug_setupvalue},
        {LUA_DBLIBNAME, "getlocal", debug_getlocal},
        {LUA_DBLIBNAME, "setlocal", debug_setlocal},
        {LUA_DBLIBNAME, "getuservalue", debug_getuservalue},
        {LUA_DBLIBNAME, "setuservalue", debug_setuservalue},
        {0},
    };
    guard_replace_all(L, rows);
    lua_getglobal(L, LUA_DBLIBNAME);
    lua_pushnil(L);
    lua_setfield(L, -2,
                 "getregistry"); /* where this daemon and the libraries keep theirs */
    lua_pop(L, 1);
    open_finalizers(L);
}
