/* What scripts see: `con`, the global functions and values, `Session`.
 *
 * luafcgid2-lua(3) is the reference. Everything here runs inside a state, in the thread
 * of the worker that has it checked out. */
#ifndef LUAFCGID2_LUA_API_H
#define LUAFCGID2_LUA_API_H

#include "config.h"
#include "lua/call.h"
#include "lua/state.h"

#include <lua.h>

struct env; /* lua/env.h */

/* Registers all of it in a new state, and returns what the state keeps of it. Raises. */
struct env *api_open(lua_State *L, const struct config *config);

/* Serves a request: sets Env and its kin, calls the entry point, and makes the
 * string that it returns the body if it has sent none. false: `error` is filled. */
bool api_serve(struct script *s, struct call *call, struct script_error *error);

#endif
