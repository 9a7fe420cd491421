/* Limits of Lua states.
 *
 * The allocator and the hook run in the thread that owns the state. What a late thread's
 * signal handler does (base/watch.h) concerns only `current`, its own thread's. */
#include "lua/limit.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/watch.h"
#include "lua/hookswitch.h"
#include <lauxlib.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Room that a script over its memory limit gets so that its end can be told: the
 * message, the traceback, the unwinding. */
#define HEADROOM (64u * 1024)

#define LARGE_BYTES (1024u * 1024) /* of a state whose memory goes back to the system */

/* Instructions of a finalizer between two looks at the clock: a few milliseconds. */
#define CLOSING_INSTRUCTIONS 500000

#define TRACEBACK_LEVELS 22

static _Thread_local struct limit *volatile current; /* whose Lua this thread runs */

/* -- The hook -- */

/* What is hooked while no limit is broken: nothing. But ThreadSanitizer holds a signal
 * back until the thread calls a function that it knows. */
#ifdef __SANITIZE_THREAD__
static void on_tick(lua_State *L, lua_Debug *ar)
{
    (void)L;
    (void)ar;
    usleep(0);
}

static void unhook(lua_State *L)
{
    lua_sethook(L, on_tick, LUA_MASKCOUNT, 10000);
}
#else
static void unhook(lua_State *L)
{
    lua_sethook(L, NULL, 0, 0);
}
#endif

const char *limit_message(enum limit_kind kind)
{
    switch (kind) {
    case LIMIT_TIME:
        return "time limit exceeded (RequestTimeout)";
    case LIMIT_MEMORY:
        return "memory limit exceeded (ScriptMemoryLimit)";
    case LIMIT_EXIT:
        return "os.exit";
    case LIMIT_NONE:
        break;
    }
    return "";
}

struct limit *limit_of(lua_State *L)
{
    void *allocator_data;
    lua_getallocf(L, &allocator_data);
    return allocator_data;
}

/* One line of a traceback. */
static void note_level(struct buffer *b, const lua_Debug *ar)
{
    buffer_printf(b, "\n\t%s:", ar->short_src);
    if (ar->currentline > 0)
        buffer_printf(b, "%d:", ar->currentline);
    if (ar->name != NULL)
        buffer_printf(b, " in %s '%s'", ar->namewhat, ar->name);
    else if (*ar->what == 'm')
        buffer_puts(b, " in main chunk");
    else if (*ar->what == 'C')
        buffer_puts(b, " in ?");
    else
        buffer_printf(b, " in function <%s:%d>", ar->short_src, ar->linedefined);
}

/* Notes what struck and where, once: what the script catches and goes through afterwards
 * is of no interest. Allocates nothing of Lua's, which may have none left, and reads only
 * what is whole even inside the allocator. */
void limit_note(struct limit *l, lua_State *L)
{
    if (l->where != NULL || l->kind == LIMIT_EXIT)
        return;
    struct buffer b = {0};
    lua_Debug ar;
    int level = 0;
    while (lua_getstack(L, level, &ar) && lua_getinfo(L, "Sl", &ar) && ar.currentline < 0)
        level++;
    if (lua_getstack(L, level, &ar) && lua_getinfo(L, "Sl", &ar))
        buffer_printf(&b, "%s:%d: ", ar.short_src, ar.currentline);
    buffer_printf(&b, "%s\nstack traceback:", limit_message(limit_broken(l)));
    for (level = 0; lua_getstack(L, level, &ar) && level < TRACEBACK_LEVELS; level++) {
        lua_getinfo(L, "Sln", &ar);
        note_level(&b, &ar);
    }
    if (lua_getstack(L, level, &ar))
        buffer_puts(&b, "\n\t...");
    if (buffer_append(&b, "", 1))
        l->where = b.data;
    else
        buffer_free(&b);
}

/* No finalizer is to run in the time that there is no more. When memory is short Lua
 * collects all the same, without finalizers. */
static void stop_collecting(struct limit *l, lua_State *L)
{
    if (!lua_gc(L, LUA_GCISRUNNING, 0))
        return;
    lua_gc(L, LUA_GCSTOP, 0);
    l->collects = true;
}

/* At every instruction: raises, or leaves the coroutine for good. There a caught error
 * would not do. Lua goes on after it on the same C stack, so calls of pcall within each
 * other may be nested by the hundred thousand; each error ends one of them, and takes
 * longer the more there are. */
static void on_instruction(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct limit *l = limit_of(L);
    if (l->kind == LIMIT_NONE) { /* left over from an os.exit in a coroutine */
        unhook(L);
        return;
    }
    stop_collecting(l, L);
    limit_note(l, L);
    if (L == l->running->L && l->running->below != NULL && lua_isyieldable(L)) {
        lua_yield(L, 0);
        return;
    }
    lua_pushstring(L, limit_message(limit_broken(l)));
    lua_error(L);
}

/* Not only of the innermost coroutine: one that it was resumed by goes on next. */
static void set_hooks(struct limit *l)
{
    for (struct limit_thread *t = l->running; t != NULL; t = t->below) {
        if (t->L == NULL) /* closed, up to its end */
            return;
        lua_sethook(t->L, on_instruction, LUA_MASKCOUNT, 1);
        hookswitch_on(t->L);
    }
}

void limit_break(struct limit *l, enum limit_kind kind)
{
    if (l->kind == LIMIT_NONE)
        l->kind = (int)kind;
    set_hooks(l);
}

void limit_mend(struct limit *l)
{
    l->kind = LIMIT_NONE;
    unhook(l->main.L); /* off others the hook takes itself */
    if (l->collects)
        lua_gc(l->main.L, LUA_GCRESTART, 0);
    l->collects = false;
    free(l->where);
    l->where = NULL;
}

/* Finalizers have one time in all, however many they are and whatever they run in. */
static void end_late_closing(struct limit *l)
{
    if (l->kind == LIMIT_NONE && clock_ticks() - l->closing_since >= LIMIT_CLOSING_TIME)
        l->kind = LIMIT_TIME;
}

static void on_closing(lua_State *L, lua_Debug *ar)
{
    struct limit *l = limit_of(L);
    end_late_closing(l);
    if (l->kind == LIMIT_NONE)
        return;
    set_hooks(l);
    on_instruction(L, ar);
}

/* The hook yields in the middle of a function, and stays. */
bool limit_has_ended(lua_State *co)
{
    return lua_status(co) == LUA_YIELD && lua_gethook(co) == on_instruction;
}

/* The order matters: a signal after the push hooks `co` with the others, and one before
 * it is seen in `kind`. */
int limit_resume(struct limit *l, lua_State *co, lua_State *from, int nargs)
{
    struct limit_thread t = {co, l->running};
    l->running = &t;
    atomic_signal_fence(memory_order_seq_cst);
    if (l->closing)
        end_late_closing(l);
    if (l->kind != LIMIT_NONE)
        lua_sethook(co, on_instruction, LUA_MASKCOUNT, 1);
    else if (l->closing) /* one that was made before has no hook yet */
        lua_sethook(co, on_closing, LUA_MASKCOUNT, CLOSING_INSTRUCTIONS);
    else if (lua_gethook(co) == on_instruction) /* that of the coroutine that made it */
        unhook(co);
    int status = lua_resume(co, from, nargs);
    l->running = t.below;
    if (status != LUA_YIELD || l->kind == LIMIT_NONE)
        return status;
    lua_settop(co, 0);
    return LIMIT_ENDED;
}

/* -- The allocator -- */

static void run_out(struct limit *l)
{
    if (l->main.L == NULL || l->kind != LIMIT_NONE || l->collecting)
        return;
    l->max = l->max == 0 ? 0 : l->max + HEADROOM;
    limit_break(l, LIMIT_MEMORY);
    limit_note(l, l->running->L);
}

static void *deny(struct limit *l, const void *block, size_t size)
{
    if (l->denied_at == l->grown)
        run_out(l);
    l->denied_at = l->grown;
    l->denied_block = block;
    l->denied_size = size;
    return NULL;
}

/* Lua collects all garbage when an allocation is denied, then asks for the very same
 * again. The library's string buffers do not: they raise an error, for whose message
 * something else is asked for. The script is at its end when the second try is denied,
 * or when there is none. */
static void check_denied(struct limit *l, const void *block, size_t size)
{
    if (l->denied_at == l->grown && (l->denied_block != block || l->denied_size != size))
        run_out(l);
}

static bool fits(const struct limit *l, size_t more)
{
    return l->max == 0 || more <= l->max - (l->used < l->max ? l->used : l->max);
}

/* The last that goes is what the main thread is part of: from here on a signal finds
 * nothing to hook. */
static void note_end(struct limit *l, const void *block, size_t size)
{
    uintptr_t at = (uintptr_t)l->main.L, start = (uintptr_t)block;
    if (at < start || at - start >= size)
        return;
    l->main.L = NULL;
    atomic_signal_fence(memory_order_seq_cst);
}

static void *allocate(void *data, void *block, size_t old_size, size_t size)
{
    struct limit *l = data;
    size_t old = block == NULL ? 0 : old_size; /* else it is the kind of a new object */
    if (size == 0) {
        if (l->closing)
            note_end(l, block, old);
        free(block);
        l->used -= old;
        return NULL;
    }
    if (size > old)
        check_denied(l, block, size);
    if (size > old && !fits(l, size - old))
        return deny(l, block, size);
    void *p = realloc(block, size);
    if (p == NULL)
        return size <= old ? block : deny(l, block, size); /* shrinking must not fail */
    l->used += size - old;
    if (size > old)
        l->grown += size - old;
    return p;
}

/* -- Memory outside Lua's allocator -- */

static int want_room(lua_State *L)
{
    lua_newuserdata(L, 0);
    return 0;
}

/* As Lua does when an allocation is denied, and does not fail: without finalizers. So it
 * is made to. Not when little was allocated since the last time: it takes long. */
static void collect_garbage(struct limit *l)
{
    lua_State *L = l->running->L;
    if (l->grown - l->collected < l->max / 16 || !lua_checkstack(L, LUA_MINSTACK))
        return;
    size_t max = l->max, denied_at = l->denied_at;
    l->max = 1;
    l->collecting = true;
    lua_pushcfunction(L, want_room);
    if (lua_pcall(L, 0, 0, 0) != LUA_OK)
        lua_pop(L, 1);
    l->collecting = false;
    l->max = max;
    l->denied_at = denied_at;
    l->collected = l->grown;
}

static void *resize_outside(void *data, void *block, size_t old_size, size_t size)
{
    struct limit *l = data;
    if (size == 0) {
        free(block);
        l->used -= old_size;
        return NULL;
    }
    if (size > old_size && !fits(l, size - old_size)) {
        collect_garbage(l);
        if (!fits(l, size - old_size))
            return NULL;
    }
    void *p = realloc(block, size);
    if (p != NULL)
        l->used += size - old_size;
    return p;
}

void limit_adopt(struct limit *l, struct buffer *b)
{
    l->lent = l->max == 0 ? 0 : b->cap;
    l->max += l->lent;
    l->used += b->cap;
    b->memory = &l->outside;
}

void limit_disown(struct limit *l, struct buffer *b)
{
    l->max -= l->lent;
    l->lent = 0;
    l->used -= b->cap;
    b->memory = NULL;
}

void limit_check(lua_State *L)
{
    struct limit *l = limit_of(L);
    enum limit_kind kind = limit_broken(l);
    if (kind == LIMIT_NONE)
        return;
    limit_note(l, L);
    luaL_error(L, "%s", limit_message(kind));
}

int limit_raise_memory(lua_State *L)
{
    struct limit *l = limit_of(L);
    run_out(l);
    return luaL_error(L, "%s", limit_message(limit_broken(l)));
}

lua_State *limit_newstate(struct limit *l)
{
    lua_State *L = lua_newstate(allocate, l);
    l->main = (struct limit_thread){L, NULL};
    l->running = &l->main;
    l->denied_at = SIZE_MAX;
    l->outside = (struct buffer_memory){resize_outside, l};
    if (L != NULL)
        unhook(L);
    return L;
}

/* -- The time limit -- */

/* Called by the signal handler. */
static void on_late(void)
{
    struct limit *l = current;
    if (l == NULL)
        return;
    limit_break(l, LIMIT_TIME);
    if (l->name != NULL)
        watch_note_script(l->name);
}

bool limit_init(void)
{
    watch_init(on_late);
    return hookswitch_find();
}

/* A signal that came before `current` was set is lost, but the heartbeat sends another
 * at its next look. */
void limit_enter(struct limit *l)
{
    current = l;
}

void limit_leave(struct limit *l)
{
    (void)l;
    current = NULL;
}

/* -- Closing -- */

/* Closing may happen in any thread, watched or not, so the hook looks at the clock, too;
 * coroutines made from here on inherit it. A full state has a little room for finalizers.
 * The watchdog sees what no hook stops. */
void limit_close(struct limit *l)
{
    bool large = l->kind == LIMIT_MEMORY || l->used >= LARGE_BYTES;
    if (l->max != 0 && l->max < l->used + HEADROOM)
        l->max = l->used + HEADROOM;
    l->closing = true;
    l->closing_since = clock_ticks();
    l->kind = LIMIT_NONE;
    lua_sethook(l->main.L, on_closing, LUA_MASKCOUNT, CLOSING_INSTRUCTIONS);
    limit_enter(l);
    lua_close(l->main.L);
    limit_leave(l);
    free(l->where);
    l->where = NULL;
    memory_note_freed();
    if (large)
        memory_give_back();
}
