/* The limits of a Lua state: the allocator limits memory, and a hook limits time.
 *
 * A count hook that is always set makes Lua slower by a fifth to a half. So the hook
 * is set only when a script is late: the heartbeat sends the worker a signal, and the
 * signal's handler, in the worker's own thread, sets the hook of every running
 * coroutine. From then on the hook raises an error at every instruction, so no pcall
 * survives it. The same hook ends a script that ran out of memory, and one that called
 * os.exit. */
#ifndef LUAFCGID2_LUA_LIMIT_H
#define LUAFCGID2_LUA_LIMIT_H

#include "base/buffer.h"
#include "lua/arena.h"

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum limit_kind {
    LIMIT_NONE,
    LIMIT_TIME,   /* ran longer than RequestTimeout */
    LIMIT_MEMORY, /* needed more than ScriptMemoryLimit */
    LIMIT_EXIT,   /* called os.exit: no fault, the request ends here */
};

/* A running coroutine, on the C stack of its thread; the innermost one comes first. */
struct limit_thread {
    lua_State *L;
    struct limit_thread *below;
    bool may_wait; /* all that called it, down to the request's coroutine, can yield */
};

/* Part of a state. Only its owner uses it, and the signal handler in the owner's
 * thread. */
struct limit {
    const char *name; /* of the script, for the watchdog's log line; or NULL */
    size_t used;      /* bytes allocated by Lua and, through `outside`, for it */
    size_t peak;      /* the most that `used` was since somebody set this */
    size_t max;       /* bytes; 0: no limit */
    struct limit_thread main;
    lua_State *base; /* the coroutine that scripts take for the main one; or NULL. The
                        registry has it, too, by this field's address */
    struct limit_thread *volatile running;
    bool waits;             /* the coroutines yield for limit_wait, not for the script */
    volatile int kind;      /* enum limit_kind */
    int strikes;            /* errors of an os.exit in `base` */
    bool closing;           /* lua_close is running */
    uint32_t closing_since; /* since then, as clock_ticks says */
    bool collects;          /* the collector was stopped, and must be started again */
    volatile unsigned allocations; /* calls of the allocator; wraps */
    volatile bool asked;           /* a slow script's traceback is wanted, */
    unsigned asked_at;             /* with so many allocations, */
    const lua_State *asked_in;     /* and this coroutine running, at the last look */
    char *where; /* malloc'ed message and traceback of the broken limit, or NULL */
    size_t grown, denied_at; /* bytes; they tell a second denial in a row */
    const void *denied_block;
    size_t denied_size;
    struct buffer_memory outside; /* for buffers that are filled for the script */
    size_t lent;                  /* by limit_adopt, added to `max` */
    size_t collected;   /* `grown` when a buffer's growth last collected garbage */
    bool collecting;    /* garbage is being collected for a buffer */
    struct arena arena; /* of Lua's small blocks */
};

/* Returns a new Lua state under `l`, which the caller has zeroed except for `max` and
 * `name`. NULL when out of memory. */
lua_State *limit_newstate(struct limit *l);

/* Calls `before`, if it is not NULL, and lua_close, with limits on what finalizers may
 * allocate and on the time of all of them together. When it is over the remaining ones
 * are skipped, except those in C. Frees what `l` holds. */
void limit_close(struct limit *l, void (*before)(lua_State *L));

#define LIMIT_CLOSING_TIME 1000 /* milliseconds */

/* The limit that the script has broken; LIMIT_NONE while it may go on. */
static inline enum limit_kind limit_broken(const struct limit *l)
{
    return (enum limit_kind)l->kind;
}

/* Ends the script that runs under `l`: from now on each of Lua's instructions raises an
 * error. The first reason is kept. Async-signal-safe. */
void limit_break(struct limit *l, enum limit_kind kind);

/* Makes a state usable again after LIMIT_EXIT. */
void limit_mend(struct limit *l);

/* Raises when a limit is broken. To be called in loops in C that a script or a client can
 * make long, every few KiB of work. */
void limit_check(lua_State *L);

/* Ends the script that runs in L because there was no memory for something outside
 * Lua, and raises. It does not return, but callers can write `return
 * limit_raise_memory(L)`. */
int limit_raise_memory(lua_State *L);

/* The same if `ok` is false. The functions of buffers return such a value. */
static inline void limit_check_memory(lua_State *L, bool ok)
{
    if (!ok)
        limit_raise_memory(L);
}

/* Returns the limit of a state. */
struct limit *limit_of(lua_State *L);

/* Until limit_disown the growth of `b` counts for `l`. The memory that `b` has already
 * does not. One buffer at a time. */
void limit_adopt(struct limit *l, struct buffer *b);
void limit_disown(struct limit *l, struct buffer *b);

/* Writes to `where` where L is, for the error of a broken limit, unless that is known.
 * Needs no memory of Lua's. */
void limit_note(struct limit *l, lua_State *L);

/* The message of a broken limit's error. */
const char *limit_message(enum limit_kind kind);

/* lua_resume for lua/guard.c; meanwhile `co` is one of the running coroutines of `l`.
 * Returns LIMIT_ENDED, with no values and no error on its stack, when a broken limit has
 * ended it. Such a coroutine must not be resumed again. Returns LIMIT_WAITS when `co` is
 * in limit_wait: then `from` must yield at once, without values, and when it goes on
 * resume `co` again, without arguments. */
#define LIMIT_ENDED (-1)
#define LIMIT_WAITS (-2)
int limit_resume(struct limit *l, lua_State *co, lua_State *from, int nargs);
bool limit_has_ended(lua_State *co);

/* The same for `base`, which is resumed from the main coroutine. Returns LIMIT_WAITS only
 * with `may_wait`; to go on then, call it again. */
int limit_resume_base(struct limit *l, int nargs, bool may_wait);

/* Whether the function that runs in L may call limit_wait. It may not where Lua itself
 * cannot yield, as in callbacks of table.sort and string.gsub. */
bool limit_may_wait(lua_State *L);

/* Gives the thread back until limit_resume_base is called again. Then `k` goes on, with
 * the stack as it is now. Does not return, but is written as `return`. */
int limit_wait(lua_State *L, lua_KContext context, lua_KFunction k);

/* -- Threads that run Lua -- */

/* Installs the handler of late threads (base/watch.h). To be called once in a process,
 * before there are threads. Returns false when loops in finalizers, and wherever else Lua
 * has turned hooks off, cannot be ended (lua/hookswitch.h). */
bool limit_init(void);

/* Between these the calling thread runs Lua under `l`. The time limit is that of its
 * request. */
void limit_enter(struct limit *l);
void limit_leave(struct limit *l);

/* The stack of a thread that runs Lua, even if it runs finalizers only. Nested calls of
 * string.gsub need the most: 190 of them need 1.6 MiB. Unused stack costs address space
 * only. */
#define LIMIT_STACK_BYTES (sizeof(void *) < 8 ? 3u * 1024 * 1024 : 4u * 1024 * 1024)

#endif
