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

void keepalive_send(lua_State *L, struct call *call)
{
    struct request *r = call->request;
    call->event_sent = clock_nanoseconds();
    if (request_buffer(r)->len > 0)
        return;
    limit_check_memory(L, request_send(r, ":\n\n", 3) && request_flush(r));
}
