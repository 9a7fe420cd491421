/* The request that a state serves at present, for the functions that scripts call. */
#ifndef LUAFCGID2_LUA_CALL_H
#define LUAFCGID2_LUA_CALL_H

#include "request.h"
#include "store/session.h"

#include <stdbool.h>

struct lua_State;
struct pool;
struct script;

/* What a request knows of its session; zeroed at its start. */
struct session_call {
    bool looked_up; /* the request's cookies were tried */
    bool present;   /* `id` is its session */
    struct session_id id;
};

/* One request being served; borrowed by the state from call_begin to call_end. */
struct call {
    struct request *request;
    int worker; /* Info.Thread */
    struct session_store *sessions;
    struct pool *pool; /* for ThreadData, through: */
    void (*visit_scripts)(struct pool *pool,
                          void (*visit)(const char *path, int states, void *arg),
                          void *arg);
    struct session_call session;
};

void call_begin(struct script *s, struct call *call);
void call_end(struct script *s);

/* The request that `L` serves; raises an error when there is none. */
struct call *call_of(struct lua_State *L);

/* The number of the state's present request, which tells an old `con` from the present
 * one; 0 between requests. */
unsigned call_serial(struct lua_State *L);

#endif
