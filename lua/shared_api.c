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
#include "lua/state.h"
#include "lua/wait.h"
#include "store/claim.h"
#include "store/shared.h"

#include <lauxlib.h>
#include <stddef.h>
#include <string.h>

#define LOCK_TYPE "luafcgid2.lock"

#define SMALL_VALUE 256  /* bytes; a text that is read without allocating memory */
#define SECONDS_MAX 1e9  /* longer is for ever */
#define LOOK_KEYS   1024 /* between two looks at the limit */

/* -- Arguments -- */

static struct bytes check_text(lua_State *L, int index)
{
    struct bytes text;
    text.data = luaL_checklstring(L, index, &text.len);
    return text;
}

/* A value that may be nil, or missing at the end. */
static struct shared_value opt_value(lua_State *L, int index)
{
    switch (lua_type(L, index)) {
    case LUA_TNONE:
    case LUA_TNIL:
        return (struct shared_value){.type = SHARED_NIL};
    case LUA_TBOOLEAN:
        return (struct shared_value){.type = SHARED_BOOLEAN,
                                     .boolean = lua_toboolean(L, index)};
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            return (struct shared_value){.type = SHARED_INTEGER,
                                         .integer = lua_tointeger(L, index)};
        return (struct shared_value){.type = SHARED_FLOAT,
                                     .number = lua_tonumber(L, index)};
    case LUA_TSTRING:
        return (struct shared_value){.type = SHARED_STRING, .text = check_text(L, index)};
    default:
        luaL_argerror(L, index, "a boolean, a number or a string expected");
        return (struct shared_value){.type = SHARED_NIL};
    }
}

static struct shared_value check_number(lua_State *L, int index, lua_Integer fallback)
{
    if (lua_isnoneornil(L, index))
        return (struct shared_value){.type = SHARED_INTEGER, .integer = fallback};
    if (lua_type(L, index) != LUA_TNUMBER)
        luaL_checknumber(L, index); /* raises, or takes a text */
    int is_integer;
    lua_Integer i = lua_tointegerx(L, index, &is_integer);
    if (is_integer && (lua_isinteger(L, index) || lua_type(L, index) == LUA_TSTRING))
        return (struct shared_value){.type = SHARED_INTEGER, .integer = i};
    return (struct shared_value){.type = SHARED_FLOAT, .number = lua_tonumber(L, index)};
}

/* The optional number of seconds in units of which a second has `units`; 0: for ever. */
static int64_t opt_life(lua_State *L, int index, int64_t units)
{
    lua_Number seconds = luaL_optnumber(L, index, 0);
    luaL_argcheck(L, seconds >= 0, index, "a number of seconds expected");
    if (seconds == 0 || seconds > SECONDS_MAX)
        return 0;
    int64_t life = (int64_t)(seconds * (lua_Number)units);
    return life < 1 ? 1 : life;
}

static int64_t max_size(lua_State *L)
{
    return state_config(state_of(L))->shared_max_size;
}

/* -- Values -- */

/* Pushes whether it was stored. */
static int push_result(lua_State *L, enum shared_result result)
{
    if (result == SHARED_TOO_LARGE)
        return luaL_error(L, "the value is larger than SharedMaxSize");
    if (result == SHARED_NO_MEMORY)
        return luaL_error(L, "not enough memory");
    lua_pushboolean(L, result == SHARED_DONE);
    return 1;
}

static void push_value(lua_State *L, const struct shared_value *value)
{
    switch (value->type) {
    case SHARED_NIL:
        lua_pushnil(L);
        break;
    case SHARED_BOOLEAN:
        lua_pushboolean(L, value->boolean);
        break;
    case SHARED_INTEGER:
        lua_pushinteger(L, value->integer);
        break;
    case SHARED_FLOAT:
        lua_pushnumber(L, value->number);
        break;
    case SHARED_STRING:
        lua_pushlstring(L, value->text.data, value->text.len);
        break;
    }
}

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
    push_value(L, &value);
    buffer_free(b);
    return 1;
}

static int get(lua_State *L, int first)
{
    char small[SMALL_VALUE];
    struct bytes key = check_text(L, first);
    struct shared_value value = shared_get(key, small, sizeof small);
    if (value.type == SHARED_STRING && value.text.len > sizeof small)
        return push_large(L, key, value.text.len);
    push_value(L, &value);
    return 1;
}

static int set(lua_State *L, int first)
{
    struct bytes key = check_text(L, first);
    struct shared_value value = opt_value(L, first + 1);
    struct shared_terms terms = {opt_life(L, first + 2, 1000), max_size(L)};
    return push_result(L, shared_set(key, &value, terms));
}

static int add(lua_State *L, int first)
{
    struct bytes key = check_text(L, first);
    luaL_argcheck(L, !lua_isnoneornil(L, first + 1), first + 1,
                  "a boolean, a number or a string expected");
    struct shared_value value = opt_value(L, first + 1);
    struct shared_terms terms = {opt_life(L, first + 2, 1000), max_size(L)};
    return push_result(L, shared_add(key, &value, terms));
}

static int swap(lua_State *L, int first)
{
    struct bytes key = check_text(L, first);
    struct shared_value old = opt_value(L, first + 1), value = opt_value(L, first + 2);
    struct shared_terms terms = {0, max_size(L)};
    return push_result(L, shared_swap(key, &old, &value, terms));
}

static int increase(lua_State *L, int first)
{
    struct bytes key = check_text(L, first);
    struct shared_value by = check_number(L, first + 1, 1);
    struct shared_value init = check_number(L, first + 2, 0), sum;
    struct shared_terms terms = {0, max_size(L)};
    enum shared_result result = shared_increase(key, &by, &init, terms, &sum);
    if (result == SHARED_NO_NUMBER)
        return luaL_error(L, "the value of '%s' is no number", key.data);
    push_result(L, result);
    push_value(L, &sum);
    return 1;
}

static int delete (lua_State *L, int first)
{
    lua_pushboolean(L, shared_delete(check_text(L, first)));
    return 1;
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

static int lock(lua_State *L, int first)
{
    struct bytes name = check_text(L, first);
    int64_t life = opt_life(L, first + 1, 1000000000), until = wait_until(L, first + 2);
    struct handle *h = lua_newuserdata(L, sizeof *h);
    *h = (struct handle){NULL, call_serial(L)};
    luaL_setmetatable(L, LOCK_TYPE);
    h->lock = create(L, name, life);
    h->lock->until = until;
    call_at_end(L, &h->lock->ending);
    return hold_or_wait(L, h);
}

static int lock_unlock(lua_State *L)
{
    lua_pushboolean(L, unlock(L, luaL_checkudata(L, 1, LOCK_TYPE)));
    return 1;
}

/* -- The table -- */

static const struct facility_row rows[] = {
    {"get", NULL, get},       {"set", NULL, set},   {"add", NULL, add},
    {"incr", NULL, increase}, {"cas", NULL, swap},  {"delete", NULL, delete},
    {"keys", NULL, keys},     {"lock", NULL, lock}, {0},
};

static void open(lua_State *L, const struct config *config)
{
    (void)config;
    luaL_newmetatable(L, LOCK_TYPE);
    lua_newtable(L);
    lua_pushcfunction(L, lock_unlock);
    lua_setfield(L, -2, "unlock");
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

const struct facility shared_api = {.table = "Shared", .rows = rows, .open = open};
