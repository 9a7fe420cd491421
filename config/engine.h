/* The Lua state of a configuration, with limits on its memory and its time. For the files
 * of this folder only.
 *
 * One thread at a time owns an engine, and only it calls these functions, except where
 * another is allowed. */
#ifndef LUAFCGID2_CONFIG_ENGINE_H
#define LUAFCGID2_CONFIG_ENGINE_H

#include <lua.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct engine {
    lua_State *L;
    size_t used, max;     /* bytes */
    int64_t time;         /* ms that the owner gave it last; 0: no limit */
    pthread_mutex_t lock; /* guards the next two, in ms of base/clock.h */
    int64_t until;        /* the end of that time */
    int64_t hurry;        /* the same, from another thread: whichever is earlier counts */
    bool late;            /* it was stopped at the end of its time */
    bool closing;         /* lua_close is running */
    const void *owner;    /* of children, for process_kill_left */
};

/* Makes one that may have `max` bytes (0: no limit) and now has `time` milliseconds (0:
 * no limit). NULL: out of memory. */
struct engine *engine_create(size_t max, int64_t time);

/* Blocks as finalizers of files and pipes do. NULL is allowed. */
void engine_destroy(struct engine *e);

/* From now on it has so much. Memory that it has already stays. */
void engine_limit(struct engine *e, size_t max, int64_t time);

/* It has at most `time` more milliseconds, until engine_calm. Any thread. */
void engine_hurry(struct engine *e, int64_t time);
void engine_calm(struct engine *e);

/* Milliseconds left, 0: none. INT64_MAX: no limit. Any thread. */
int64_t engine_left(struct engine *e);

/* "took longer than 10 seconds", or why else its time is over. */
void engine_describe_late(struct engine *e, char *text, size_t size);

/* Notes that its time is over, and raises an error that says so, and where `level` is, as
 * luaL_error does. Does not return, but is written as `return`. */
int engine_raise_late(lua_State *L, int level);

struct engine *engine_of(lua_State *L);

#endif
