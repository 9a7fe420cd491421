/* The pace of the client. Runs in the thread that owns the state; no lock. What is waited
 * for is in the request's struct call, so that it is there when the script goes on in
 * another thread. */
#include "lua/pace.h"

#include "base/clock.h"
#include "lua/call.h"
#include "lua/limit.h"
#include "lua/wait.h"

#define MILLISECOND INT64_C(1000000) /* nanoseconds */

static void begin(struct call *call, lua_KContext context, lua_KFunction k)
{
    call->pace = (struct pace){.context = context, .k = k};
    call->comment_sent = 0; /* who waits now waits for the comment, too */
}

/* The moment that is `ms` milliseconds from now; 0 and less: never. */
static int64_t moment_after(int64_t now, int64_t ms)
{
    return ms > 0 ? now + ms * MILLISECOND : AWAITED_FOREVER;
}

/* -- Output -- */

static int on_room(lua_State *L, int status, lua_KContext context);

static int await_room(lua_State *L, struct call *call)
{
    return wait_for_peer(L, AWAITED_OUTPUT, call->pace.due, on_room);
}

static void renew(struct call *call)
{
    call->pace.due =
        moment_after(clock_nanoseconds(), request_config(call->request)->write_timeout);
}

static int on_room(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    struct call *call = call_of(L);
    unsigned came = wait_came_of_peer(L);
    bool blocks = status == LUA_OK || (came & AWAITED_END) != 0, moved;
    if (came == 0) {
        request_give_up(call->request);
    } else if (!request_settle(call->request, blocks, &moved)) {
        if (moved)
            renew(call);
        return await_room(L, call);
    }
    if (call->pace.pushes)
        return pace_flush(L, call->pace.context, call->pace.k);
    return call->pace.k(L, status, call->pace.context);
}

bool pace_flush_now(lua_State *L, int status)
{
    struct request *r = call_of(L)->request;
    bool moved, blocks = status == LUA_OK;
    if (!request_settle(r, blocks, &moved))
        return false;
    limit_check_memory(L, request_push(r));
    return request_settle(r, blocks, &moved);
}

/* A comment of the stream may still be on its way (lua/keepalive.h): it goes first. */
int pace_flush(lua_State *L, lua_KContext context, lua_KFunction k)
{
    struct call *call = call_of(L);
    bool moved, first = request_settle(call->request, false, &moved);
    if (first)
        limit_check_memory(L, request_push(call->request));
    if (first && request_settle(call->request, false, &moved))
        return k(L, LUA_YIELD, context);
    begin(call, context, k);
    call->pace.pushes = !first;
    renew(call);
    return await_room(L, call);
}

/* -- Input -- */

static int on_input(lua_State *L, int status, lua_KContext context)
{
    (void)context;
    struct call *call = call_of(L);
    unsigned came = wait_came_of_peer(L);
    bool blocks = status == LUA_OK || (came & AWAITED_END) != 0;
    int64_t waited = (clock_nanoseconds() - call->pace.begun) / MILLISECOND;
    request_note_body_wait(call->request, blocks ? 0 : waited, came == 0);
    return call->pace.k(L, blocks ? LUA_OK : LUA_YIELD, call->pace.context);
}

/* A patience of 0 is over at once. */
int pace_await_body(lua_State *L, lua_KContext context, lua_KFunction k)
{
    struct call *call = call_of(L);
    int64_t patience = request_body_patience(call->request), now = clock_nanoseconds();
    begin(call, context, k);
    call->pace.begun = now;
    return wait_for_peer(L, AWAITED_INPUT,
                         patience == 0 ? now : moment_after(now, patience), on_input);
}
