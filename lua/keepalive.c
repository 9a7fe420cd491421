/* The comments of streams that wait. Runs in the thread that owns the state; no lock. */
#include "lua/keepalive.h"

#include "base/clock.h"
#include "lua/limit.h"

#define MILLISECOND INT64_C(1000000) /* nanoseconds */

void keepalive_begin(struct call *call)
{
    call->event_sent = clock_nanoseconds();
}

int64_t keepalive_due(const struct call *call)
{
    if (call == NULL || call->event_sent == 0)
        return AWAITED_FOREVER;
    int64_t interval = request_config(call->request)->event_keep_alive;
    return interval > 0 ? call->event_sent + interval * MILLISECOND : AWAITED_FOREVER;
}

/* Goes on with a comment that the client has not taken. After WriteTimeout it never will.
 */
static void settle(struct call *call, int64_t now)
{
    int64_t timeout = request_config(call->request)->write_timeout;
    bool moved;
    if (request_settle(call->request, false, &moved))
        call->comment_sent = 0;
    else if (moved)
        call->comment_sent = now;
    else if (timeout > 0 && now - call->comment_sent >= timeout * MILLISECOND)
        request_give_up(call->request);
}

/* Blocks nobody: what the client does not take is kept for it. */
void keepalive_send(lua_State *L, struct call *call)
{
    struct request *r = call->request;
    call->event_sent = clock_nanoseconds();
    if (call->comment_sent == 0) {
        if (request_buffer(r)->len > 0)
            return;
        limit_check_memory(L, request_append(r, ":\n\n", 3) && request_push(r));
        call->comment_sent = call->event_sent;
    }
    settle(call, call->event_sent);
}
