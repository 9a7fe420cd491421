/* The Lua state of a configuration: an allocator that limits its memory, and a hook that
 * looks at the clock. The hook is always set, as nothing here has to be fast. A function
 * of C is not stopped; os.execute and io.popen of hooks look at the clock themselves
 * (config/child.h).
 *
 * Runs on the thread that owns the engine. Another may ask for haste, so two fields have
 * a lock, which is held for a moment only. */
#include "config/engine.h"

#include "base/clock.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>

#define LOOK_EVERY 1000 /* instructions between two looks at the clock */

static void *allocate(void *data, void *block, size_t old_size, size_t size)
{
    struct engine *e = data;
    size_t old = block == NULL ? 0 : old_size; /* else it is the kind of a new object */
    if (size == 0) {
        free(block);
        e->used -= old;
        return NULL;
    }
    if (size > old && e->max > 0 && (e->used > e->max || size - old > e->max - e->used))
        return NULL;
    void *p = realloc(block, size);
    if (p == NULL)
        return size <= old ? block : NULL; /* shrinking must not fail */
    e->used += size - old;
    return p;
}

struct engine *engine_of(lua_State *L)
{
    void *data;
    lua_getallocf(L, &data);
    return data;
}

void engine_describe_late(struct engine *e, char *text, size_t size)
{
    pthread_mutex_lock(&e->lock);
    bool hurried = e->hurry < e->until;
    pthread_mutex_unlock(&e->lock);
    if (hurried)
        snprintf(text, size, "was ended, as the daemon stops");
    else
        snprintf(text, size, "took longer than %g seconds", (double)e->time / 1000);
}

int engine_raise_late(lua_State *L, int level)
{
    char text[64];
    struct engine *e = engine_of(L);
    e->late = true;
    engine_describe_late(e, text, sizeof text);
    luaL_where(L, level);
    lua_pushstring(L, text);
    lua_concat(L, 2);
    return lua_error(L);
}

/* Once the time is over, every instruction raises an error, so that no pcall goes on. A
 * coroutine of an earlier call may still have its hook at every instruction. */
static void look_at_clock(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct engine *e = engine_of(L);
    bool over = engine_left(e) == 0;
    if (over || lua_gethookcount(L) != LOOK_EVERY)
        lua_sethook(L, look_at_clock, LUA_MASKCOUNT, over ? 1 : LOOK_EVERY);
    if (!over)
        return;
    engine_raise_late(L, 0); /* in a hook that is what runs */
}

static int64_t moment_after(int64_t time)
{
    return time > 0 ? clock_milliseconds() + time : INT64_MAX;
}

static void set(struct engine *e, int64_t *moment, int64_t to)
{
    pthread_mutex_lock(&e->lock);
    *moment = to;
    pthread_mutex_unlock(&e->lock);
}

void engine_limit(struct engine *e, size_t max, int64_t time)
{
    e->max = max;
    e->time = time;
    e->late = false;
    set(e, &e->until, moment_after(time));
    lua_sethook(e->L, look_at_clock, LUA_MASKCOUNT, LOOK_EVERY);
}

void engine_hurry(struct engine *e, int64_t time)
{
    set(e, &e->hurry, moment_after(time));
}

void engine_calm(struct engine *e)
{
    set(e, &e->hurry, INT64_MAX);
}

int64_t engine_left(struct engine *e)
{
    pthread_mutex_lock(&e->lock);
    int64_t until = e->hurry < e->until ? e->hurry : e->until;
    pthread_mutex_unlock(&e->lock);
    if (until == INT64_MAX)
        return INT64_MAX;
    int64_t left = until - clock_milliseconds();
    return left > 0 ? left : 0;
}

struct engine *engine_create(size_t max, int64_t time)
{
    struct engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return NULL;
    e->until = e->hurry = INT64_MAX;
    e->max = max;
    e->L = lua_newstate(allocate, e);
    if (e->L == NULL) {
        free(e);
        return NULL;
    }
    pthread_mutex_init(&e->lock, NULL);
    engine_limit(e, max, time);
    return e;
}

void engine_destroy(struct engine *e)
{
    if (e == NULL)
        return;
    e->closing = true;
    lua_close(e->L);
    pthread_mutex_destroy(&e->lock);
    free(e);
}
