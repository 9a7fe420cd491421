/* The request that a state serves at present. A state keeps a pointer to it, and a number
 * that tells it from other requests. Runs in the thread that owns the state; no lock. */
#include "lua/call.h"

#include "lua/state.h"
#include "lua/state_fields.h"

#include <lauxlib.h>

void call_begin(struct script *s, struct call *call)
{
    s->call = call;
    call->told = 0;
    if (++s->serial == 0)
        s->serial = 1; /* 0 means no request */
}

void call_end(struct script *s)
{
    s->call = NULL;
}

struct call *call_of(lua_State *L)
{
    struct script *s = state_of(L);
    if (s->call == NULL)
        luaL_error(L, "no request is being served: the script is still being loaded");
    return s->call;
}

struct call *call_or_null(lua_State *L)
{
    return state_of(L)->call;
}

unsigned call_serial(lua_State *L)
{
    const struct script *s = state_of(L);
    return s->call == NULL ? 0 : s->serial;
}
