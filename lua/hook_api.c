/* Log, print, Publish and Shared for hooks. Their state has no script, limit or request,
 * so what scripts get from these comes from the configuration here, which every function
 * has as its first upvalue. A hook has a thread of its own, which waits for a lock and
 * looks now and then.
 *
 * Runs in the thread of the hooks, which owns the state; what a file has defined under
 * one of these names stays. A table in the registry keeps the locks that are held. */
#include "lua/hook_api.h"

#include "base/clock.h"
#include "lua/channel_api.h"
#include "lua/log_api.h"
#include "lua/shared_call.h"
#include "lua/strings.h"
#include "lua/tables.h"
#include "lua/wait.h"
#include "store/claim.h"

#include <lauxlib.h>
#include <string.h>
#include <time.h>

#define LOCK_TYPE   "luafcgid2.hook.lock"
#define WAKER_TYPE  "luafcgid2.hook.waker"
#define NAP         10000000 /* nanoseconds between two looks at a lock */
#define SMALL_VALUE 256      /* bytes of a text that is read without allocating memory */

static const struct config *config_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* -- Log -- */

static int say(lua_State *L)
{
    return log_api.rows->function(L, 1);
}

/* A line of the log, as print is for scripts. */
static int print(lua_State *L)
{
    log_api_write(L, LOG_LEVEL_INFO, 1, "\t");
    return 0;
}

/* -- Publish and the values of Shared -- */

static int publish(lua_State *L)
{
    return channel_api_publish(L, 1, config_of(L)->subscription_max_size);
}

/* A text may have become longer meanwhile. */
static int get(lua_State *L)
{
    char small[SMALL_VALUE], *data = small;
    size_t room = sizeof small;
    struct bytes key = shared_call_text(L, 1);
    struct shared_value value = shared_get(key, data, room);
    while (value.type == SHARED_STRING && value.text.len > room) {
        room = value.text.len;
        lua_settop(L, 1);
        data = lua_newuserdata(L, room);
        value = shared_get(key, data, room);
    }
    shared_call_push(L, &value);
    return 1;
}

static int set(lua_State *L)
{
    return shared_call_set(L, 1, config_of(L)->shared_max_size);
}

static int add(lua_State *L)
{
    return shared_call_add(L, 1, config_of(L)->shared_max_size);
}

static int swap(lua_State *L)
{
    return shared_call_swap(L, 1, config_of(L)->shared_max_size);
}

static int increase(lua_State *L)
{
    return shared_call_increase(L, 1, config_of(L)->shared_max_size);
}

static int delete (lua_State *L)
{
    return shared_call_delete(L, 1);
}

/* Appends the keys in `data` to the list at `list`. */
static void list_keys(lua_State *L, int list, const char *data, size_t len)
{
    lua_Integer count = (lua_Integer)lua_rawlen(L, list);
    size_t key_len;
    for (size_t at = 0; at < len; at += key_len) {
        memcpy(&key_len, data + at, sizeof key_len);
        at += sizeof key_len;
        lua_pushlstring(L, data + at, key_len);
        lua_rawseti(L, list, ++count);
    }
}

static int keys(lua_State *L)
{
    struct bytes prefix;
    prefix.data = luaL_optlstring(L, 1, "", &prefix.len);
    lua_settop(L, 1);
    lua_newtable(L);
    char *data = lua_newuserdata(L, 1);
    size_t room = 1;
    for (unsigned shard = 0; shard < SHARED_SHARDS; shard++) {
        size_t len;
        while ((len = shared_keys(shard, prefix, data, room)) > room) {
            lua_settop(L, 2);
            data = lua_newuserdata(L, len);
            room = len;
        }
        list_keys(L, 2, data, len);
    }
    lua_settop(L, 2);
    return 1;
}

/* -- Locks -- */

/* In memory of Lua's, which the registry keeps while it holds the lock. */
struct lock {
    struct claim claim;
    bool claims;
};

static void push_held(lua_State *L)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, LOCK_TYPE ".held");
}

static bool release(struct lock *l)
{
    bool held = l->claims && claim_end(&l->claim);
    l->claims = false;
    return held;
}

static void forget(lua_State *L, struct lock *l)
{
    push_held(L);
    lua_pushnil(L);
    lua_rawsetp(L, -2, l);
    lua_pop(L, 1);
}

static int unlock(lua_State *L)
{
    struct lock *l = luaL_checkudata(L, 1, LOCK_TYPE);
    lua_pushboolean(L, release(l));
    forget(L, l);
    return 1;
}

/* When the state is closed. */
static int drop(lua_State *L)
{
    release(luaL_checkudata(L, 1, LOCK_TYPE));
    return 0;
}

/* The waker of this state's claims, by which two of them know that they belong together.
 * None of them is woken by it. */
static int free_waker(lua_State *L)
{
    struct waker **w = luaL_checkudata(L, 1, WAKER_TYPE);
    waker_unref(*w);
    *w = NULL;
    return 0;
}

static struct waker *waker_of(lua_State *L)
{
    if (lua_getfield(L, LUA_REGISTRYINDEX, WAKER_TYPE ".own") == LUA_TNIL) {
        struct waker **w = lua_newuserdata(L, sizeof *w);
        *w = NULL;
        luaL_setmetatable(L, WAKER_TYPE);
        lua_pushvalue(L, -1);
        lua_setfield(L, LUA_REGISTRYINDEX, WAKER_TYPE ".own");
        lua_remove(L, -2);
    }
    struct waker **w = lua_touserdata(L, -1);
    if (*w == NULL)
        *w = waker_create();
    lua_pop(L, 1);
    return *w;
}

/* Pushes the object. The registry has it before it claims, so no error loses it. */
static struct lock *push_lock(lua_State *L, struct bytes name, int64_t life)
{
    struct waker *waker = waker_of(L);
    struct lock *l = lua_newuserdata(L, sizeof *l);
    l->claims = false;
    luaL_setmetatable(L, LOCK_TYPE);
    push_held(L);
    lua_pushvalue(L, -2);
    lua_rawsetp(L, -2, l);
    lua_pop(L, 1);
    enum claim_result result =
        waker == NULL ? CLAIM_NO_MEMORY : claim_begin(&l->claim, name, life, waker);
    l->claims = result == CLAIM_DONE;
    if (!l->claims)
        forget(L, l);
    if (result == CLAIM_IS_MINE)
        luaL_error(L, "this hook holds the lock '%s' already", name.data);
    if (result == CLAIM_NO_MEMORY)
        luaL_error(L, "not enough memory");
    return l;
}

static int lock(lua_State *L)
{
    static const struct timespec nap = {.tv_nsec = NAP};
    int64_t again, until = wait_until(L, 3);
    struct bytes name = shared_call_text(L, 1);
    struct lock *l = push_lock(L, name, shared_call_life(L, 2, 1000000000));
    while (!claim_holds(&l->claim, &again)) {
        bool late = config_hooks_left(L) == 0;
        if (late || clock_nanoseconds() >= until) {
            release(l);
            forget(L, l);
            lua_pushnil(L);
            return late ? luaL_error(L, "no time is left to wait for the lock '%s'",
                                     name.data)
                        : 1;
        }
        nanosleep(&nap, NULL);
    }
    return 1;
}

/* Releases the locks that the hook still holds. */
static void end(lua_State *L)
{
    push_held(L);
    for (lua_pushnil(L); lua_next(L, -2); lua_pop(L, 1))
        release(lua_touserdata(L, -1));
    lua_pushnil(L);
    lua_setfield(L, LUA_REGISTRYINDEX, LOCK_TYPE ".held");
    lua_pop(L, 1);
}

/* -- The whole -- */

static void open_types(lua_State *L)
{
    luaL_newmetatable(L, LOCK_TYPE);
    lua_newtable(L);
    lua_pushcfunction(L, unlock);
    lua_setfield(L, -2, "unlock");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, drop);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    luaL_newmetatable(L, WAKER_TYPE);
    lua_pushcfunction(L, free_waker);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 2);
}

/* Sets the global value on top, unless the file has one of that name. */
static void offer(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    bool taken = lua_rawget(L, -2) != LUA_TNIL;
    lua_pop(L, 1);
    if (!taken) {
        lua_pushstring(L, name);
        lua_pushvalue(L, -3);
        lua_rawset(L, -3);
    }
    lua_pop(L, 2);
}

/* The library's own would run for as long as they like, where nothing can end them.
 * Before the file runs, since it may keep them in variables of its own. */
static void prepare(lua_State *L)
{
    strings_open_for_hooks(L);
    tables_open_for_hooks(L);
}

static void open(lua_State *L, const struct config *config)
{
    static const luaL_Reg functions[] = {{"Log", say}, {"Publish", publish}, {0}};
    static const luaL_Reg shared[] = {
        {"get", get},       {"set", set},   {"add", add},
        {"incr", increase}, {"cas", swap},  {"delete", delete},
        {"keys", keys},     {"lock", lock}, {0},
    };
    open_types(L);
    for (const luaL_Reg *f = functions; f->name != NULL; f++) {
        lua_pushlightuserdata(L, (void *)config);
        lua_pushcclosure(L, f->func, 1);
        offer(L, f->name);
    }
    luaL_newlibtable(L, shared);
    lua_pushlightuserdata(L, (void *)config);
    luaL_setfuncs(L, shared, 1);
    offer(L, "Shared");
    lua_getglobal(L, "print");
    bool is_standard = lua_iscfunction(L, -1);
    lua_pop(L, 1);
    if (is_standard)
        lua_register(L, "print", print);
}

const struct config_library hook_api = {prepare, open, end};
