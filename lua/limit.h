/* The limits of a Lua state: memory by its allocator, time by a hook that costs nothing
 * until it is needed.
 *
 * A count hook that is always on slows Lua down by a fifth to a half. Here the heartbeat
 * sends a late worker a signal, and its handler sets the hook, in the worker's own
 * thread, on every coroutine that is running. From then on the hook fires at every
 * instruction and raises each time, so no pcall can outlive it. The same hook ends a
 * script that ran out of memory, and one that called os.exit. */
#ifndef LUAFCGID2_LUA_LIMIT_H
#define LUAFCGID2_LUA_LIMIT_H

#include "base/buffer.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum limit_kind {
    LIMIT_NONE,
    LIMIT_TIME,   /* ran longer than RequestTimeout */
    LIMIT_MEMORY, /* needed more than ScriptMemoryLimit */
    LIMIT_EXIT,   /* called os.exit: not a fault, the request ends here */
};

/* A coroutine on the C stack of the thread that runs it, innermost first. */
struct limit_thread {
    lua_State *L;
    struct limit_thread *below;
};

/* Part of a script; touched by its owner only, and by a signal handler in its thread. */
struct limit {
    const char *name; /* of the script, for the watchdog's log line; or NULL */
    size_t used;      /* bytes that Lua has allocated, and `outside` for the script */
    size_t max;       /* bytes; 0: no limit */
    struct limit_thread main;
    struct limit_thread *volatile running;
    volatile int kind;      /* enum limit_kind */
    bool closing;           /* lua_close is at work, */
    uint32_t closing_since; /* as clock_ticks says */
    bool collects;          /* but for the broken limit Lua would collect garbage */
    char *where;            /* malloc'ed traceback of where it struck, or NULL */
    size_t grown,
        denied_at; /* bytes; to tell a denial that a collection could not cure */
    const void *denied_block;
    size_t denied_size;
    struct buffer_memory outside; /* for buffers filled for the script: counted, too */
    size_t lent;                  /* by limit_adopt, in `max` */
    size_t collected;             /* `grown` when limit_resize last collected garbage */
    bool collecting;              /* for it */
};

/* A new Lua state under `l`, zeroed by the caller but for `max`. NULL: out of memory. */
lua_State *limit_newstate(struct limit *l);

/* lua_close, with bounds on what finalizers may allocate, and on the time of all of them
 * together. When that is over the rest of them is skipped, but for those in C. Frees what
 * `l` holds. */
void limit_close(struct limit *l);

#define LIMIT_CLOSING_TIME 1000 /* milliseconds */

/* Whether, and by what, the script is to end. */
static inline enum limit_kind limit_broken(const struct limit *l)
{
    return (enum limit_kind)l->kind;
}

/* Ends the script that runs under `l`: Lua's next instruction raises an error, and every
 * one after it. The first reason stays. Async-signal-safe. */
void limit_break(struct limit *l, enum limit_kind kind);

/* Makes a state that ended by LIMIT_EXIT usable again. */
void limit_mend(struct limit *l);

/* For loops in C that a script, or a client, can make long: to be called every few KiB of
 * work. Raises when the script is to end. */
void limit_check(lua_State *L);

/* For what is built outside Lua and found no room: ends the script that runs in L, and
 * raises. Returns nothing, but can be written as `return`. */
int limit_raise_memory(lua_State *L);

/* The same unless `ok`, which is what a buffer's functions return. */
static inline void limit_check_memory(lua_State *L, bool ok)
{
    if (!ok)
        limit_raise_memory(L);
}

/* The limit of a state. */
struct limit *limit_of(lua_State *L);

/* Until limit_disown the growth of `b`, which is the C library's memory and may be filled
 * already, counts for `l`. One buffer at a time. */
void limit_adopt(struct limit *l, struct buffer *b);
void limit_disown(struct limit *l, struct buffer *b);

/* Notes where L is in `where`, unless that is known, for the error of a broken limit.
 * Needs no memory of Lua's. */
void limit_note(struct limit *l, lua_State *L);

/* What the broken limit's error says. */
const char *limit_message(enum limit_kind kind);

/* lua_resume for lua/guard.c: `co` joins the running coroutines of `l` meanwhile. When a
 * limit is broken and has ended it, LIMIT_ENDED, without values or an error on its stack:
 * it may not be resumed again. */
#define LIMIT_ENDED (-1)
int limit_resume(struct limit *l, lua_State *co, lua_State *from, int nargs);
bool limit_has_ended(lua_State *co);

/* -- Threads that run Lua -- */

/* Process-wide, once, before any thread: installs the handler of late threads
 * (base/watch.h). False when loops in finalizers, and where else Lua has turned hooks
 * off, cannot be ended (lua/hookswitch.h). */
bool limit_init(void);

/* Between these the calling thread runs Lua under `l`; the time limit is its request's.
 */
void limit_enter(struct limit *l);
void limit_leave(struct limit *l);

/* The stack of a thread that runs Lua, if only finalizers. Nested calls of string.gsub
 * take the most: 190 of them need 1.6 MiB. What is not used costs address space only. */
#define LIMIT_STACK_BYTES (sizeof(void *) < 8 ? 3u * 1024 * 1024 : 4u * 1024 * 1024)

#endif
