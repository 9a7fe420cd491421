/* The switch by which Lua turns hooks off, found by experiment.
 *
 * The experiment looks at each byte of a scratch state while hooks are on, and while
 * they are off. The switch is the byte that is 1 in the one case and 0 in the other,
 * every time. There must be only one such byte, and a hook must be called in a
 * finalizer that sets it. The experiment runs in the main thread before there are
 * others; its result is never written again. */
#include "lua/hookswitch.h"

#include <lauxlib.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 1024 /* bytes of a lua_State; it has some 200 */ };

static size_t place; /* offset in a lua_State; 0: unknown */

struct experiment {
    const char *block; /* the memory of the latest coroutine */
    size_t size;
    bool possible[LARGEST]; /* by offset in a lua_State */
    bool fired;
};

static void *allocate(void *data, void *block, size_t old_size, size_t size)
{
    struct experiment *e = data;
    if (size == 0) {
        free(block);
        return NULL;
    }
    void *p = block == NULL ? calloc(1, size)
                            : realloc(block, size); /* so that no byte is undefined */
    if (p == NULL && block != NULL && size <= old_size)
        return block; /* shrinking must not fail */
    if (block == NULL && old_size == LUA_TTHREAD) {
        e->block = p;
        e->size = size;
    }
    return p;
}

static struct experiment *experiment_of(lua_State *L)
{
    void *e;
    lua_getallocf(L, &e);
    return e;
}

/* Rules out the bytes of L that do not have the value `value`. */
static void look(lua_State *L, unsigned char value)
{
    struct experiment *e = experiment_of(L);
    unsigned char bytes[LARGEST];
    size_t size = e->size - (size_t)((const char *)L - e->block);
    memcpy(bytes, L, size);
    for (size_t i = 0; i < LARGEST; i++)
        e->possible[i] = e->possible[i] && i < size && bytes[i] == value;
}

static void look_in_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    look(L, 0);
}

static int look_where_hooks_are_off(lua_State *L)
{
    look(L, 0);
    return 0;
}

static int look_where_hooks_are_on(lua_State *L)
{
    look(L, 1);
    return 0;
}

static void note(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    experiment_of(L)->fired = true;
}

static int do_nothing(lua_State *L)
{
    (void)L;
    return 0;
}

static void call(lua_State *L, lua_CFunction function, lua_Hook hook)
{
    lua_sethook(L, hook, hook == NULL ? 0 : LUA_MASKCALL, 0);
    lua_pushcfunction(L, function);
    lua_call(L, 0, 0);
    lua_sethook(L, NULL, 0, 0);
}

static int try(lua_State *L)
{
    struct experiment *e = experiment_of(L);
    e->fired = false;
    call(L, do_nothing, note);
    bool was_off = !e->fired;
    hookswitch_on(L);
    call(L, do_nothing, note);
    e->fired = e->fired && was_off;
    return 0;
}

static void finalize(lua_State *L, lua_CFunction finalizer)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, finalizer);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
    lua_gc(L, LUA_GCCOLLECT, 0);
}

/* Returns the place that is still possible; 0 when there is none, or more than one. */
static size_t only_place(const struct experiment *e)
{
    size_t found = 0;
    for (size_t i = 0; i < LARGEST; i++) {
        if (e->possible[i] && found != 0)
            return 0;
        if (e->possible[i])
            found = i;
    }
    return found;
}

static int experiment(lua_State *L)
{
    struct experiment *e = experiment_of(L);
    lua_State *co = lua_newthread(L);
    if ((size_t)((const char *)co - e->block) > e->size || e->size > LARGEST)
        return 0;
    for (int round = 0; round < 2; round++) {
        look(co, 1);
        call(co, look_where_hooks_are_on, NULL);
        call(co, do_nothing, look_in_hook);
        finalize(co, look_where_hooks_are_off);
    }
    place = only_place(e);
    finalize(co, try);
    look(co, 1); /* Lua has restored it */
    lua_pushboolean(L, place != 0 && e->fired && only_place(e) == place);
    return 1;
}

bool hookswitch_find(void)
{
    struct experiment e = {0};
    memset(e.possible, 1, sizeof e.possible);
    place = 0;
    lua_State *L = lua_newstate(allocate, &e);
    if (L == NULL)
        return false;
    lua_pushcfunction(L, experiment);
    bool found = lua_pcall(L, 0, 1, 0) == LUA_OK && lua_toboolean(L, -1);
    lua_close(L);
    if (!found)
        place = 0;
    return found;
}

void hookswitch_on(lua_State *L)
{
    if (place != 0)
        ((volatile unsigned char *)L)[place] = 1;
}
