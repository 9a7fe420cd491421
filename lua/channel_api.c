/* Publish and Subscribe. Runs in the thread that owns the state.
 *
 * A subscription ends with its request, whatever becomes of the object that the script
 * has of it: a script can take the finalizer away from any object. So the subscription
 * has memory of its own, which counts for the state and is freed at the request's end at
 * the latest. The object refers to it, and to the request by whose end it has gone. */
#include "lua/channel_api.h"

#include "base/clock.h"
#include "lua/call.h"
#include "lua/limit.h"
#include "lua/state.h"
#include "lua/wait.h"
#include "store/channel.h"

#include <lauxlib.h>
#include <stddef.h>

#define SUBSCRIPTION_TYPE "luafcgid2.subscription"

struct subscription {
    struct call_ending ending;
    struct limit *limit; /* that its memory counts for */
    size_t size;
    struct message *message; /* whose text is being made a string; or NULL */
    int64_t until;           /* of the wait */
    _Alignas(max_align_t) char channels[]; /* a struct channel_subscription */
};

/* What scripts have of it. */
struct handle {
    struct subscription *subscription; /* NULL: closed */
    unsigned serial;                   /* of its request */
};

static struct channel_subscription *channels_of(struct subscription *s)
{
    return (struct channel_subscription *)(void *)s->channels;
}

/* -- Publish -- */

static struct bytes check_channel(lua_State *L, int index)
{
    struct bytes name;
    name.data = luaL_checklstring(L, index, &name.len);
    luaL_argcheck(L, name.len <= CHANNEL_NAME_MAX, index,
                  "a channel's name of at most 1000 bytes expected");
    return name;
}

int channel_api_publish(lua_State *L, int first, int64_t max)
{
    struct bytes channel = check_channel(L, first), text;
    text.data = luaL_checklstring(L, first + 1, &text.len);
    size_t count;
    switch (channel_publish(channel, text, max, &count)) {
    case CHANNEL_TOO_LARGE:
        return luaL_error(L, "a message of %I bytes is larger than SubscriptionMaxSize",
                          (LUAI_UACINT)text.len);
    case CHANNEL_NO_MEMORY:
        return luaL_error(L, "not enough memory");
    case CHANNEL_DONE:
        break;
    }
    lua_pushinteger(L, (lua_Integer)count);
    return 1;
}

static int publish(lua_State *L, int first)
{
    return channel_api_publish(L, first,
                               state_config(state_of(L))->subscription_max_size);
}

/* -- Subscribe -- */

static void release(struct subscription *s)
{
    const struct buffer_memory *memory = &s->limit->outside;
    channel_release(s->message);
    channel_unsubscribe(channels_of(s));
    memory->resize(memory->data, s, s->size, 0);
}

static void end(struct call_ending *e)
{
    release(CONTAINER(struct subscription, ending, e));
}

/* NULL: out of memory. */
static struct subscription *create(struct limit *limit, const struct bytes *names,
                                   size_t count, int64_t max, struct waker *waker)
{
    const struct buffer_memory *memory = &limit->outside;
    size_t size = sizeof(struct subscription) + channel_subscription_size(count);
    struct subscription *s = memory->resize(memory->data, NULL, 0, size);
    if (s == NULL)
        return NULL;
    *s = (struct subscription){.ending.end = end, .limit = limit, .size = size};
    if (channel_subscribe(channels_of(s), names, count, max, waker))
        return s;
    memory->resize(memory->data, s, size, 0);
    return NULL;
}

static int subscribe(lua_State *L, int first)
{
    int count = lua_gettop(L) - first + 1;
    luaL_argcheck(L, count > 0, first, "a channel's name expected");
    luaL_argcheck(L, count <= CHANNEL_COUNT_MAX, first + CHANNEL_COUNT_MAX,
                  "at most 1000 channels expected");
    struct waker *waker = wait_waker(L);
    struct bytes *names = lua_newuserdata(L, (size_t)count * sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = check_channel(L, first + i);
    struct handle *h = lua_newuserdata(L, sizeof *h);
    *h = (struct handle){NULL, call_serial(L)};
    luaL_setmetatable(L, SUBSCRIPTION_TYPE);
    h->subscription = create(limit_of(L), names, (size_t)count,
                             state_config(state_of(L))->subscription_max_size, waker);
    limit_check_memory(L, h->subscription != NULL);
    call_at_end(L, &h->subscription->ending);
    return 1;
}

/* -- Subscriptions -- */

static struct handle *check_handle(lua_State *L)
{
    struct handle *h = luaL_checkudata(L, 1, SUBSCRIPTION_TYPE);
    luaL_argcheck(L, lua_rawlen(L, 1) == sizeof *h, 1, "a subscription expected");
    return h;
}

static bool is_open(lua_State *L, const struct handle *h)
{
    return h->subscription != NULL && h->serial == call_serial(L);
}

static struct subscription *check_open(lua_State *L)
{
    struct handle *h = check_handle(L);
    if (!is_open(L, h))
        luaL_error(L, "this subscription is closed, or belongs to a request that is "
                      "over");
    return h->subscription;
}

/* The message is released at the next call, should there be no memory for its string. */
static int push_message(lua_State *L, struct subscription *s, struct bytes text,
                        struct bytes channel)
{
    lua_pushlstring(L, text.data, text.len);
    lua_pushlstring(L, channel.data, channel.len);
    channel_release(s->message);
    s->message = NULL;
    return 2;
}

static int go_on(lua_State *L, int status, lua_KContext context);

static int take_or_wait(lua_State *L, struct subscription *s)
{
    struct bytes text, channel;
    channel_release(s->message);
    waker_reset(wait_waker(L));
    s->message = channel_next(channels_of(s), &text, &channel);
    if (s->message != NULL)
        return push_message(L, s, text, channel);
    if (clock_nanoseconds() >= s->until) {
        lua_pushnil(L);
        lua_pushliteral(L, "timeout");
        return 2;
    }
    struct awaited what = {.what = AWAITED_WAKER, .until = s->until};
    return wait_for(L, &what, 0, go_on);
}

/* A message may come at the moment at which the time is over, so it looks in any case. */
static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    wait_came(L);
    return take_or_wait(L, check_open(L));
}

static int next(lua_State *L)
{
    struct subscription *s = check_open(L);
    s->until = wait_until(L, 2);
    lua_settop(L, 1);
    return take_or_wait(L, s);
}

static int missed(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)channel_missed(channels_of(check_open(L))));
    return 1;
}

/* As the finalizer, too: what its request's end has closed is no more. */
static int close(lua_State *L)
{
    struct handle *h = check_handle(L);
    if (is_open(L, h)) {
        call_not_at_end(&h->subscription->ending);
        release(h->subscription);
    }
    h->subscription = NULL;
    return 0;
}

static const struct facility_row rows[] = {
    {"Publish", "publish", publish},
    {"Subscribe", "subscribe", subscribe},
    {0},
};

static const luaL_Reg methods[] = {
    {"next", next},
    {"missed", missed},
    {"close", close},
    {NULL, NULL},
};

static void open(lua_State *L, const struct config *config)
{
    (void)config;
    luaL_newmetatable(L, SUBSCRIPTION_TYPE);
    luaL_newlib(L, methods);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, close);
    lua_setfield(L, -2, "__gc");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 1);
}

const struct facility channel_api = {.rows = rows, .open = open};
