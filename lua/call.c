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
    list_init(&call->endings);
    if (++s->serial == 0)
        s->serial = 1; /* 0 means no request */
}

void call_end(struct script *s)
{
    struct link *endings = &s->call->endings;
    while (!list_is_empty(endings)) {
        struct call_ending *e = CONTAINER(struct call_ending, link, endings->next);
        list_remove(&e->link);
        e->end(e);
    }
    spool_end(&s->call->spool);
    s->call = NULL;
}

void call_at_end(lua_State *L, struct call_ending *e)
{
    list_insert_after(&call_of(L)->endings, &e->link);
}

void call_not_at_end(struct call_ending *e)
{
    list_remove(&e->link);
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
