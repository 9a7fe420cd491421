/* The request that a state serves at present, for the functions that scripts call. */
#ifndef LUAFCGID2_LUA_CALL_H
#define LUAFCGID2_LUA_CALL_H

#include "base/list.h"
#include "base/waker.h"
#include "lua/spool.h"
#include "request.h"
#include "store/session.h"

#include <lua.h>
#include <stdbool.h>
#include <stdint.h>

struct pool;
struct script;

/* What is known of a request's session; zeroed when the request begins. */
struct session_call {
    bool looked_up; /* the request's cookies have been tried */
    bool present;   /* `id` is its session */
    struct session_id id;
};

/* Whether a script that waits may go on. */
enum call_fate {
    CALL_GOES_ON,
    CALL_IS_GONE,    /* the client has gone */
    CALL_IS_STOPPED, /* the daemon stops */
};

/* What functions of scripts need of whoever runs the request, which lies above this
 * layer. `owner` is that of struct call. By the thread that runs the script; none of them
 * blocks but `finish`. */
struct call_operations {
    enum call_fate (*fate)(void *owner);

    /* Whether the request may wait without a thread. If so, it is counted as one that
     * does, and the script must yield at once (limit_wait). NULL: requests never do, and
     * the thread that runs this one waits itself. */
    bool (*may_wait)(void *owner);

    /* Borrowed; lives as long as the request. NULL: out of memory. */
    struct waker *(*waker)(void *owner);

    /* Sends what is left of the response, and gives the connection back. What comes later
     * is dropped. Blocks as request_finish does. */
    void (*finish)(void *owner);
};

/* Something that ends with the request. By the thread that owns the state; no Lua runs.
 */
struct call_ending {
    struct link link;
    void (*end)(struct call_ending *e); /* may free it */
};

/* A wait for the client's pace (lua/pace.c). Moments are of base/clock.h. */
struct pace {
    int64_t begun, due; /* of a wait for the body; of one for room */
    lua_KContext context;
    lua_KFunction k; /* called when it is over */
    bool pushes;     /* what the script sends is still to be pushed, before that */
};

/* The error that the script is to answer (ErrorPage). */
struct call_failure {
    int status;
    char *message; /* as in the log, a traceback may follow; NULL when out of memory */
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
    const struct call_operations *operations; /* NULL: nothing above runs it */
    void *owner;                              /* for the operations */
    struct pace pace;
    const struct call_failure *failure; /* NULL: it answers the request itself */
    bool waits; /* the script waits, and is to go on (api_go_on) */
    int told;   /* how often the script was told that it may not wait any more */
    struct session_call session;
    int64_t comment_sent; /* when the client last took some of a comment that is on its
                             way, in nanoseconds; 0: none is */
    int64_t event_sent;  /* nanoseconds: when the last event went out; 0: there is none */
    struct link endings; /* while it is served */
    struct spool spool;  /* the files that were uploaded; call_end empties it */
};

void call_begin(struct script *s, struct call *call);
void call_end(struct script *s); /* calls what call_at_end has noted */

/* Returns the request that `L` serves; raises an error when there is none. */
struct call *call_of(lua_State *L);

/* The same; NULL when there is none. */
struct call *call_or_null(lua_State *L);

/* Notes that e->end is to be called when the present request is over, in the opposite
 * order. The memory of `e` is the caller's, who may take it out again. Raises when there
 * is no request. */
void call_at_end(lua_State *L, struct call_ending *e);
void call_not_at_end(struct call_ending *e);

/* Returns the number of the present request, which tells its `con` from an old one; 0
 * between requests. */
unsigned call_serial(lua_State *L);

#endif
