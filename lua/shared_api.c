/* Shared. Runs in the thread that owns the state.
 *
 * Values are copied out of the store and made Lua's afterwards, as no lock is held while
 * Lua runs. A lock that a script has taken has memory of its own, which counts for the
 * state and is freed at the request's end at the latest; the script's object refers to
 * it, and to the request by whose end it has gone. */
#include "lua/shared_api.h"

#include "base/clock.h"
#include "lua/call.h"
#include "lua/limit.h"
#include "lua/scratch.h"
#include "lua/shared_call.h"
#include "lua/state.h"
#include "lua/wait.h"
#include "store/claim.h"
#include "store/shared.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#define LOCK_TYPE "luafcgid2.lock"

#define SMALL_VALUE 256  /* bytes; a text that is read without allocating memory */
#define LOOK_KEYS   1024 /* between two looks at the limit */

static int64_t max_size(lua_State *L)
{
    return state_config(state_of(L))->shared_max_size;
}

/* -- Values -- */

/* It may have become longer meanwhile. */
static int push_large(lua_State *L, struct bytes key, size_t len)
{
    struct buffer *b = scratch_push(L);
    struct shared_value value;
    do {
        limit_check_memory(L, buffer_reserve(b, len));
        value = shared_get(key, b->data, b->cap);
        len = value.type == SHARED_STRING ? value.text.len : 0;
    } while (len > b->cap);
    shared_call_push(L, &value);
    scratch_give_back(L, -2);
    return 1;
}

static int get(lua_State *L, int first)
{
    char small[SMALL_VALUE];
    struct bytes key = shared_call_text(L, first);
    struct shared_value value = shared_get(key, small, sizeof small);
    if (value.type == SHARED_STRING && value.text.len > sizeof small)
        return push_large(L, key, value.text.len);
    shared_call_push(L, &value);
    return 1;
}

static int set(lua_State *L, int first)
{
    return shared_call_set(L, first, max_size(L));
}

static int add(lua_State *L, int first)
{
    return shared_call_add(L, first, max_size(L));
}

static int swap(lua_State *L, int first)
{
    return shared_call_swap(L, first, max_size(L));
}

static int increase(lua_State *L, int first)
{
    return shared_call_increase(L, first, max_size(L));
}

/* -- Keys -- */

/* Appends the keys in the buffer to the list on top. */
static void list_keys(lua_State *L, const char *data, size_t len)
{
    lua_Integer count = (lua_Integer)lua_rawlen(L, -1);
    size_t key_len;
    for (size_t at = 0; at < len; at += key_len) {
        memcpy(&key_len, data + at, sizeof key_len);
        at += sizeof key_len;
        lua_pushlstring(L, data + at, key_len);
        lua_rawseti(L, -2, ++count);
        if (count % LOOK_KEYS == 0)
            limit_check(L);
    }
}

static int keys(lua_State *L, int first)
{
    struct bytes prefix;
    prefix.data = luaL_optlstring(L, first, "", &prefix.len);
    struct buffer *b = scratch_push(L);
    lua_newtable(L);
    for (unsigned shard = 0; shard < SHARED_SHARDS; shard++) {
        size_t len;
        limit_check(L);
        while ((len = shared_keys(shard, prefix, b->data, b->cap)) > b->cap)
            limit_check_memory(L, buffer_reserve(b, len));
        list_keys(L, b->data, len);
    }
    scratch_give_back(L, -2);
    return 1;
}

/* -- Locks -- */

struct lock {
    struct call_ending ending;
    struct limit *limit; /* that its memory counts for */
    struct claim claim;
    int64_t until; /* of the wait */
};

/* What scripts have of it. Without a finalizer: a lock that nobody unlocks is held until
 * the request's end. */
struct handle {
    struct lock *lock; /* NULL: unlocked */
    unsigned serial;   /* of its request */
};

/* Returns whether it was held till now. */
static bool release(struct lock *l)
{
    const struct buffer_memory *memory = &l->limit->outside;
    bool held = claim_end(&l->claim);
    memory->resize(memory->data, l, sizeof *l, 0);
    return held;
}

static void end(struct call_ending *e)
{
    release(CONTAINER(struct lock, ending, e));
}

static bool unlock(lua_State *L, struct handle *h)
{
    struct lock *l = h->lock;
    h->lock = NULL;
    if (l == NULL || h->serial != call_serial(L))
        return false;
    call_not_at_end(&l->ending);
    return release(l);
}

static int go_on(lua_State *L, int status, lua_KContext context);

/* The object is on top. */
static int hold_or_wait(lua_State *L, struct handle *h)
{
    struct awaited what = {.what = AWAITED_WAKER};
    waker_reset(wait_waker(L));
    if (claim_holds(&h->lock->claim, &what.until))
        return 1;
    if (clock_nanoseconds() >= h->lock->until) {
        unlock(L, h);
        lua_pushnil(L);
        return 1;
    }
    if (h->lock->until < what.until)
        what.until = h->lock->until;
    return wait_for(L, &what, 0, go_on);
}

static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    wait_came(L);
    return hold_or_wait(L, lua_touserdata(L, -1));
}

static struct lock *create(lua_State *L, struct bytes name, int64_t life)
{
    struct limit *limit = limit_of(L);
    const struct buffer_memory *memory = &limit->outside;
    struct waker *waker = wait_waker(L);
    struct lock *l = memory->resize(memory->data, NULL, 0, sizeof *l);
    limit_check_memory(L, l != NULL);
    *l = (struct lock){.ending.end = end, .limit = limit};
    enum claim_result result = claim_begin(&l->claim, name, life, waker);
    if (result == CLAIM_DONE)
        return l;
    memory->resize(memory->data, l, sizeof *l, 0);
    if (result == CLAIM_IS_MINE)
        luaL_error(L, "this request holds the lock '%s' already", name.data);
    luaL_error(L, "not enough memory");
    return NULL;
}

static int lock_unlock(lua_State *L)
{
    lua_pushboolean(L, unlock(L, luaL_checkudata(L, 1, LOCK_TYPE)));
    return 1;
}

/* Made with the first lock, like most of what scripts may never use. */
static void push_lock_metatable(lua_State *L)
{
    if (!luaL_newmetatable(L, LOCK_TYPE))
        return;
    lua_newtable(L);
    lua_pushcfunction(L, lock_unlock);
    lua_setfield(L, -2, "unlock");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

static int lock(lua_State *L, int first)
{
    struct bytes name = shared_call_text(L, first);
    int64_t life = shared_call_life(L, first + 1, 1000000000),
            until = wait_until(L, first + 2);
    struct handle *h = lua_newuserdata(L, sizeof *h);
    *h = (struct handle){NULL, call_serial(L)};
    push_lock_metatable(L);
    lua_setmetatable(L, -2);
    h->lock = create(L, name, life);
    h->lock->until = until;
    call_at_end(L, &h->lock->ending);
    return hold_or_wait(L, h);
}

/* -- The table -- */

static const struct facility_row rows[] = {
    {"get", NULL, get},       {"set", NULL, set},   {"add", NULL, add},
    {"incr", NULL, increase}, {"cas", NULL, swap},  {"delete", NULL, shared_call_delete},
    {"keys", NULL, keys},     {"lock", NULL, lock}, {0},
};

const struct facility shared_api = {.table = "Shared", .rows = rows};
