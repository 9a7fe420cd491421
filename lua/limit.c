/* Limits of Lua states.
 *
 * The allocator and the hook run in the thread that owns the state. The signal handler
 * of a late thread (base/watch.h) uses only `current`, which is its own thread's. */
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

/* What a script over its memory limit gets in addition, so that it can end: for the
 * message, the traceback and the unwinding of the stack. */
#define HEADROOM (64u * 1024)

#define LARGE_BYTES                                                                      \
    (1024u * 1024) /* used by a state whose memory is given back to the system */

/* of a finalizer between two looks at the clock: a few milliseconds */
#define CLOSING_INSTRUCTIONS 500000

#define TRACEBACK_LEVELS 22

/* Errors of an os.exit that a script may catch before its coroutine ends for good. */
#define STRIKES_MAX 100

static _Thread_local struct limit
    *volatile current; /* of the state that this thread runs */

/* -- The hook -- */

/* ThreadSanitizer delivers a signal only when the thread calls a function that it
 * intercepts, which is slow. */
static void let_signals_in(void)
{
#ifdef __SANITIZE_THREAD__
    static _Thread_local unsigned calls;
    if (calls++ % 64 == 0)
        usleep(0);
#endif
}

/* While no limit is broken there is no hook. With ThreadSanitizer there is one, to let
 * signals in. */
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

/* Writes one line of a traceback. */
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

/* Notes which limit was broken and where. Only the first call counts: later ones may come
 * from places that the script reaches when it catches the error. Allocates no memory of
 * Lua's, as there may be none, and reads only what is consistent even inside the
 * allocator. */
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

/* Stops the collector, so that no finalizer runs when the time is over. When memory is
 * short Lua still collects, without finalizers. */
static void stop_collecting(struct limit *l, lua_State *L)
{
    if (!lua_gc(L, LUA_GCISRUNNING, 0))
        return;
    lua_gc(L, LUA_GCSTOP, 0);
    l->collects = true;
}

/* Whether a strike in L leaves the coroutine for good. The coroutine of requests is
 * needed again after an os.exit, so an error ends the request, unless too many are
 * caught. */
static bool leaves(struct limit *l, lua_State *L)
{
    if (L != l->running->L || l->running->below == NULL || !lua_isyieldable(L))
        return false;
    return L != l->base || l->kind != LIMIT_EXIT || ++l->strikes > STRIKES_MAX;
}

/* Called at every instruction: raises an error, or leaves a coroutine for good. In a
 * coroutine an error would not end it in time. Calls of pcall can be nested a hundred
 * thousand deep there; each error ends one of them only, and takes longer the more there
 * are. */
static void on_instruction(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct limit *l = limit_of(L);
    if (l->kind ==
        LIMIT_NONE) { /* the hook is left over from an os.exit in a coroutine */
        unhook(L);
        return;
    }
    stop_collecting(l, L);
    limit_note(l, L);
    if (leaves(l, L)) {
        lua_yield(L, 0);
        return;
    }
    lua_pushstring(L, limit_message(limit_broken(l)));
    lua_error(L);
}

/* -- The traceback of a slow script -- */

static void *no_more(void *data, void *block, size_t old_size, size_t size)
{
    (void)data;
    (void)block;
    (void)old_size;
    (void)size;
    return NULL;
}

/* Writes the note of a slow script, from a level of its stack on. Needs no memory: the
 * thread may be inside the allocator. */
static void note_slow(struct limit *l, lua_State *L, int level, bool in_c)
{
    static const struct buffer_memory fixed = {no_more, NULL};
    struct watch_note *note = watch_slow_note();
    l->asked = false;
    if (note == NULL)
        return;
    struct buffer b = {.data = note->trace, .cap = sizeof note->trace, .memory = &fixed};
    lua_Debug ar;
    int end = level + TRACEBACK_LEVELS;
    for (; lua_getstack(L, level, &ar) && level < end; level++)
        if (lua_getinfo(L, "Sln", &ar))
            note_level(&b, &ar);
    if (lua_getstack(L, level, &ar))
        buffer_puts(&b, "\n\t...");
    note->len = b.len;
    note->in_c = in_c;
    note->used = l->used;
    note->max = l->max - l->lent;
    const char *name = l->name == NULL ? "" : l->name;
    size_t len = strlen(name), skip = len < WATCH_NAME ? 0 : len - WATCH_NAME + 1;
    memcpy(note->name, name + skip, len - skip + 1);
    watch_slow_noted();
}

/* The next instruction of a slow script. */
static void on_slow_instruction(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    struct limit *l = limit_of(L);
    if (l->kind != LIMIT_NONE)
        return;
    if (l->asked)
        note_slow(l, L, 0, false);
    unhook(L);
}

/* Called by the signal handler at each look while a slow script has not written its note.
 * The first time it sets the hook. If no instruction was executed until the next, the
 * thread is inside a function of C, or of Lua's own. If nothing was allocated meanwhile,
 * and nothing is being allocated, the stack is where it was, and so are the functions
 * that wait for that one; its own record may be in the making, and is left out. */
static void on_slow(void)
{
    struct limit *l = current;
    if (l == NULL || l->closing || l->kind != LIMIT_NONE)
        return;
    lua_State *L = l->running->L;
    bool same = l->asked && l->asked_at == l->allocations && l->asked_in == L;
    l->asked_at = l->allocations;
    l->asked_in = L;
    if (same) {
        note_slow(l, L, 1, true);
        return;
    }
    l->asked = true;
    for (struct limit_thread *t = l->running; t != NULL; t = t->below)
        lua_sethook(t->L, on_slow_instruction, LUA_MASKCOUNT, 1);
}

/* -- Ending a script -- */

/* Sets the hook in every running coroutine: when the innermost one ends, the one that
 * resumed it goes on. */
static void set_hooks(struct limit *l)
{
    for (struct limit_thread *t = l->running; t != NULL; t = t->below) {
        if (t->L == NULL) /* lua_close has reached its end */
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
    l->strikes = 0;
    unhook(l->main.L); /* in others the hook removes itself */
    if (l->collects)
        lua_gc(l->main.L, LUA_GCRESTART, 0);
    l->collects = false;
    free(l->where);
    l->where = NULL;
}

/* All finalizers together have one time limit, in whatever coroutine they run. */
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

/* The hook has yielded in the middle of a function, and is still set. */
bool limit_has_ended(lua_State *co)
{
    return lua_status(co) == LUA_YIELD && lua_gethook(co) == on_instruction;
}

/* The order matters: a signal that comes after the push sets the hook of `co` with the
 * others; one that came before has set `kind`. */
static int resume(struct limit *l, struct limit_thread *t, lua_State *from, int nargs)
{
    lua_State *co = t->L;
    t->below = l->running;
    l->running = t;
    atomic_signal_fence(memory_order_seq_cst);
    if (l->closing)
        end_late_closing(l);
    if (l->kind != LIMIT_NONE)
        lua_sethook(co, on_instruction, LUA_MASKCOUNT, 1);
    else if (l->closing) /* a coroutine that was made before has no hook yet */
        lua_sethook(co, on_closing, LUA_MASKCOUNT, CLOSING_INSTRUCTIONS);
    else if (lua_gethook(co) ==
             on_instruction) /* inherited from the coroutine that made it */
        unhook(co);
    int status = lua_resume(co, from, nargs);
    l->running = t->below;
    if (status != LUA_YIELD)
        return status;
    if (l->waits)
        return LIMIT_WAITS;
    if (l->kind == LIMIT_NONE)
        return status;
    lua_settop(co, 0);
    return LIMIT_ENDED;
}

int limit_resume(struct limit *l, lua_State *co, lua_State *from, int nargs)
{
    struct limit_thread t = {
        .L = co,
        .may_wait = l->running->may_wait && lua_isyieldable(from),
    };
    return resume(l, &t, from, nargs);
}

int limit_resume_base(struct limit *l, int nargs, bool may_wait)
{
    struct limit_thread t = {.L = l->base, .may_wait = may_wait};
    l->waits = false;
    return resume(l, &t, l->main.L, nargs);
}

bool limit_may_wait(lua_State *L)
{
    const struct limit_thread *t = limit_of(L)->running;
    return t->L == L && t->may_wait && lua_isyieldable(L);
}

int limit_wait(lua_State *L, lua_KContext context, lua_KFunction k)
{
    limit_of(L)->waits = true;
    return lua_yieldk(L, 0, context, k);
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

/* When an allocation is denied, Lua collects all garbage and asks for the same again. The
 * library's string buffers do not: they raise an error, and ask for memory for its
 * message. The memory limit is broken when the second try is denied, or when there is
 * none. */
static void check_denied(struct limit *l, const void *block, size_t size)
{
    if (l->denied_at == l->grown && (l->denied_block != block || l->denied_size != size))
        run_out(l);
}

static bool fits(const struct limit *l, size_t more)
{
    return l->max == 0 || more <= l->max - (l->used < l->max ? l->used : l->max);
}

/* The last block that lua_close frees contains the main thread. From then on a signal
 * finds no coroutine to hook. */
static void note_end(struct limit *l, const void *block, size_t size)
{
    uintptr_t at = (uintptr_t)l->main.L, start = (uintptr_t)block;
    if (at < start || at - start >= size)
        return;
    l->main.L = NULL;
    atomic_signal_fence(memory_order_seq_cst);
}

static void give(struct limit *l, void *block, size_t size)
{
    if (arena_owns(&l->arena, block))
        arena_give(&l->arena, block, size);
    else
        free(block);
}

/* realloc for blocks of which some are in the arena. A block stays outside once it is
 * there. */
static void *resize(struct limit *l, void *block, size_t old, size_t size)
{
    bool inside = arena_owns(&l->arena, block);
    if (block != NULL && !inside)
        return realloc(block, size);
    if (inside && arena_suits(old, size))
        return block;
    void *p = arena_take(&l->arena, size);
    if (p == NULL)
        p = malloc(size);
    if (p == NULL || block == NULL)
        return p;
    memcpy(p, block, old < size ? old : size);
    arena_give(&l->arena, block, old);
    return p;
}

static void *allocate(void *data, void *block, size_t old_size, size_t size)
{
    struct limit *l = data;
    l->allocations++;
    size_t old =
        block == NULL ? 0 : old_size; /* without a block it is the kind of a new object */
    if (size == 0) {
        if (l->closing)
            note_end(l, block, old);
        give(l, block, old);
        l->used -= old;
        return NULL;
    }
    if (size > old)
        check_denied(l, block, size);
    if (size > old && !fits(l, size - old))
        return deny(l, block, size);
    void *p = resize(l, block, old, size);
    if (p == NULL)
        return size <= old ? block : deny(l, block, size); /* shrinking must not fail */
    l->used += size - old;
    if (size > old)
        l->grown += size - old;
    if (l->used > l->peak)
        l->peak = l->used;
    return p;
}

/* -- Memory outside Lua's allocator -- */

static int want_room(lua_State *L)
{
    lua_newuserdata(L, 0);
    return 0;
}

/* Collects garbage without finalizers: Lua does that when an allocation is denied, so one
 * is denied. Does nothing when little was allocated since the last time, as it takes
 * long. */
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
    if (l->used > l->peak)
        l->peak = l->used;
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
    let_signals_in();
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
    arena_open(&l->arena);
    lua_State *L = lua_newstate(allocate, l);
    l->main = (struct limit_thread){.L = L};
    l->running = &l->main;
    l->denied_at = SIZE_MAX;
    l->outside = (struct buffer_memory){resize_outside, l};
    if (L == NULL)
        arena_close(&l->arena);
    else
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
    watch_init(on_late, on_slow);
    return hookswitch_find();
}

/* A signal that comes before `current` is set has no effect, but the heartbeat sends
 * another one at its next look. */
void limit_enter(struct limit *l)
{
    current = l;
}

void limit_leave(struct limit *l)
{
    current = NULL;
    l->asked = false; /* the hook removes itself */
}

/* -- Closing -- */

/* A state may be closed in a thread that nobody watches, so here the hook looks at the
 * clock. Coroutines that are made from here on inherit it. A state that is full gets a
 * little room for its finalizers. The watchdog reports what no hook stops. */
void limit_close(struct limit *l, void (*before)(lua_State *L))
{
    bool large = l->kind == LIMIT_MEMORY || l->used >= LARGE_BYTES;
    if (l->max != 0 && l->max < l->used + HEADROOM)
        l->max = l->used + HEADROOM;
    l->closing = true;
    l->closing_since = clock_ticks();
    l->kind = LIMIT_NONE;
    lua_sethook(l->main.L, on_closing, LUA_MASKCOUNT, CLOSING_INSTRUCTIONS);
    limit_enter(l);
    if (before != NULL)
        before(l->main.L);
    lua_close(l->main.L);
    limit_leave(l);
    arena_close(&l->arena);
    free(l->where);
    l->where = NULL;
    memory_note_freed();
    if (large)
        memory_give_back();
}
