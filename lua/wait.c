/* Waiting of scripts. Runs in the thread that owns the state; no lock. What the script
 * waits for, and what has come of it, is kept in the state (state_awaited), so that it is
 * there when the coroutine goes on, in whatever thread. */
#include "lua/wait.h"

#include "base/clock.h"
#include "base/watch.h"
#include "lua/call.h"
#include "lua/keepalive.h"
#include "lua/limit.h"
#include "lua/refusal.h"
#include "lua/state.h"
#include "lua/wait_fields.h"

#include <lauxlib.h>
#include <poll.h>

#define SECOND   INT64_C(1000000000) /* nanoseconds */
#define LIFETIME (INT64_C(1) << 32)  /* seconds */

/* ms between two looks of a thread that waits itself, at what no descriptor tells. */
#define SLICE 20

/* -- The end of a request that waits -- */

static enum call_fate fate_of(const struct call *call)
{
    if (call == NULL || call->operations == NULL)
        return CALL_GOES_ON;
    return call->operations->fate(call->owner);
}

/* A script may catch the first error, to tidy up. When it waits again it has not
 * understood, and ends as by os.exit. */
static void raise_end(lua_State *L, struct call *call, enum call_fate fate)
{
    if (call->told++ > 0) {
        limit_break(limit_of(L), LIMIT_EXIT);
        limit_check(L);
    }
    if (fate == CALL_IS_GONE)
        refusal_raise(L, 499, "the client has gone");
    refusal_raise(L, 503, "the daemon stops");
}

static void check_fate(lua_State *L)
{
    struct call *call = call_or_null(L);
    enum call_fate fate = fate_of(call);
    if (fate != CALL_GOES_ON)
        raise_end(L, call, fate);
}

/* -- Where the thread waits itself -- */

static bool closing_is_late(const struct limit *l)
{
    return l->closing && clock_ticks() - l->closing_since >= LIMIT_CLOSING_TIME;
}

/* What has come already, without waiting. */
static unsigned look(const struct awaited *a, struct call *call)
{
    unsigned came = a->what & (AWAITED_INPUT | AWAITED_OUTPUT);
    if (fate_of(call) != CALL_GOES_ON)
        came |= AWAITED_END;
    if ((a->what & AWAITED_WAKER) != 0 && call != NULL && call->operations != NULL &&
        waker_is_woken(call->operations->waker(call->owner)))
        came |= AWAITED_WAKER;
    return came;
}

static unsigned poll_descriptor(const struct awaited *a, int timeout)
{
    unsigned wanted = a->what & (AWAITED_READ | AWAITED_WRITE);
    struct pollfd p = {.fd = wanted == 0 ? -1 : a->fd,
                       .events = (short)((wanted & AWAITED_READ ? POLLIN : 0) |
                                         (wanted & AWAITED_WRITE ? POLLOUT : 0))};
    if (poll(&p, 1, timeout) <= 0)
        return 0;
    if ((p.revents & ~(POLLIN | POLLOUT)) != 0)
        return wanted;
    return (p.revents & POLLIN ? AWAITED_READ : 0u) |
           (p.revents & POLLOUT ? AWAITED_WRITE : 0u);
}

/* Milliseconds until the next look. */
static int nap_length(const struct awaited *a)
{
    if (a->until == AWAITED_FOREVER)
        return SLICE;
    int64_t left = a->until - clock_nanoseconds();
    if (left <= 0)
        return 0;
    return left > SLICE * INT64_C(1000000) ? SLICE : (int)((left + 999999) / 1000000);
}

/* A service without connections (may_wait is NULL) never lays a request down, so this is
 * its only kind of wait, and stops the clock as a request's that is laid down. */
static bool stops_clock(const struct call *call)
{
    return call != NULL && call->operations != NULL && call->operations->may_wait == NULL;
}

static void pause_clock(const struct call *call)
{
    if (stops_clock(call))
        watch_pause();
    else
        watch_pause_slow();
}

static void resume_clock(const struct call *call)
{
    if (stops_clock(call))
        watch_resume();
    else
        watch_resume_slow();
}

/* The signal of a late thread ends a poll. If it comes just before one, the next look
 * sees it. */
static void block(lua_State *L, struct awaited *a, struct call *call)
{
    const struct limit *l = limit_of(L);
    int nap;
    pause_clock(call);
    do {
        a->came = look(a, call);
        nap = a->came != 0 ? 0 : nap_length(a);
        a->came |= poll_descriptor(a, nap);
        limit_check(L);
    } while (a->came == 0 && nap > 0 && !closing_is_late(l));
    resume_clock(call);
}

/* -- Waiting -- */

bool wait_may_yield(lua_State *L)
{
    const struct call *call = call_or_null(L);
    return call != NULL && call->operations != NULL &&
           call->operations->may_wait != NULL && limit_may_wait(L);
}

/* Whether the wait was only interrupted, for a comment. */
static bool is_interrupted(lua_State *L)
{
    struct script *s = state_of(L);
    return state_awaited(s)->came == 0 && clock_nanoseconds() < state_wait(s)->until;
}

/* The next piece of the wait: up to the next comment, at most. */
static void prepare(lua_State *L, struct call *call)
{
    struct script *s = state_of(L);
    struct awaited *a = state_awaited(s);
    if (keepalive_due(call) <= clock_nanoseconds())
        keepalive_send(L, call);
    check_fate(L);
    int64_t due = keepalive_due(call), until = state_wait(s)->until;
    a->until = due < until ? due : until;
    a->came = 0;
}

static int go_on(lua_State *L, int status, lua_KContext context);

static int yield(lua_State *L, struct call *call)
{
    prepare(L, call);
    if (!call->operations->may_wait(call->owner))
        return refusal_raise(L, 503, "too many requests wait (MaxWaiting)");
    return limit_wait(L, 0, go_on);
}

static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    limit_check(L);
    if (is_interrupted(L))
        return yield(L, call_of(L));
    const struct wait *w = state_wait(state_of(L));
    return w->k(L, status, w->context);
}

int wait_for(lua_State *L, const struct awaited *what, lua_KContext context,
             lua_KFunction k)
{
    struct script *s = state_of(L);
    struct call *call = call_or_null(L);
    check_fate(L);
    *state_awaited(s) = *what;
    *state_wait(s) = (struct wait){what->until, context, k};
    if (wait_may_yield(L))
        return yield(L, call);
    do {
        prepare(L, call);
        block(L, state_awaited(s), call);
    } while (is_interrupted(L) && !closing_is_late(limit_of(L)));
    return k(L, LUA_OK, context);
}

unsigned wait_came(lua_State *L)
{
    unsigned came = state_awaited(state_of(L))->came;
    limit_check(L);
    if ((came & AWAITED_END) != 0)
        check_fate(L);
    return came & ~(unsigned)AWAITED_END;
}

int wait_for_peer(lua_State *L, unsigned what, int64_t until, lua_KFunction k)
{
    struct script *s = state_of(L);
    struct call *call = call_of(L);
    *state_awaited(s) = (struct awaited){.what = what, .until = until};
    if (wait_may_yield(L) && fate_of(call) != CALL_IS_GONE &&
        call->operations->may_wait(call->owner))
        return limit_wait(L, 0, k);
    state_awaited(s)->came = what;
    return k(L, LUA_OK, 0);
}

unsigned wait_came_of_peer(lua_State *L)
{
    limit_check(L);
    return state_awaited(state_of(L))->came;
}

int64_t wait_until(lua_State *L, int index)
{
    if (lua_isnoneornil(L, index))
        return AWAITED_FOREVER;
    lua_Number seconds = luaL_checknumber(L, index);
    luaL_argcheck(L, seconds == seconds, index, "a number of seconds expected");
    if (seconds >= (lua_Number)LIFETIME)
        return AWAITED_FOREVER;
    int64_t length = seconds > 0 ? (int64_t)(seconds * (lua_Number)SECOND) : 0;
    return clock_nanoseconds() + length;
}

struct waker *wait_waker(lua_State *L)
{
    struct call *call = call_of(L);
    struct waker *w =
        call->operations == NULL ? NULL : call->operations->waker(call->owner);
    if (w == NULL)
        luaL_error(L, "not enough memory");
    return w;
}
