/* What scripts see: `con`, the global functions and values, `Session`.
 *
 * luafcgid2-lua(3) is the reference. Everything here runs inside a state, in the thread
 * of the worker that has it checked out. */
#ifndef LUAFCGID2_LUA_API_H
#define LUAFCGID2_LUA_API_H

#include "lua/script.h"
#include "lua/session_api.h"
#include "request.h"
#include <lua.h>

#define LUAFCGID2_VERSION 2 /* LUAFCGID_VERSION */

struct api; /* what a state keeps for this room; Lua's memory */

/* One request being served, for the functions that scripts call. */
struct api_call {
    struct request *request;
    int worker; /* Info.Thread */
    struct session_store *sessions;
    struct pool *pool; /* for ThreadData, through: */
    void (*visit_scripts)(struct pool *pool,
                          void (*visit)(const char *path, int states, void *arg),
                          void *arg);
    struct session_call session;
};

/* Registers all of it in a new state, and returns what the state keeps. Raises. */
struct api *api_open(lua_State *L, const struct config *config);

/* Serves a request: sets Env and its kin, calls the entry point, and makes the
 * string that it returns the body if it has sent none. false: `error` is filled. */
bool api_serve(struct script *s, struct api_call *call, struct script_error *error);

/* The request that `L` serves; raises an error when there is none. */
struct api_call *api_call_of(lua_State *L);

#endif
