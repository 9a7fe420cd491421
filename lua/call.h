/* The request that a state serves at present, for the functions that scripts call. */
#ifndef LUAFCGID2_LUA_CALL_H
#define LUAFCGID2_LUA_CALL_H

#include "request.h"
#include "store/session.h"

#include <stdbool.h>

struct lua_State;
struct pool;
struct script;

/* What is known of a request's session; zeroed when the request begins. */
struct session_call {
    bool looked_up; /* the request's cookies have been tried */
    bool present;   /* `id` is its session */
    struct session_id id;
};

/* One request that is being served. The state borrows it from call_begin to call_end. */
struct call {
    struct request *request;
    int worker; /* Info.Thread */
    struct session_store *sessions;
    struct pool *pool; /* for ThreadData, which calls: */
    void (*visit_scripts)(struct pool *pool,
                          void (*visit)(const char *path, int states, void *arg),
                          void *arg);
    struct session_call session;
};

void call_begin(struct script *s, struct call *call);
void call_end(struct script *s);

/* Returns the request that `L` serves; raises an error when there is none. */
struct call *call_of(struct lua_State *L);

/* Returns the number of the present request, which tells its `con` from an old one; 0
 * between requests. */
unsigned call_serial(struct lua_State *L);

#endif
