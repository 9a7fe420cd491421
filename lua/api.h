/* What scripts see of the daemon. luafcgid2-lua(3) is its reference, lua/facility.h says
 * how it is made. Runs in the thread that owns the state. */
#ifndef LUAFCGID2_LUA_API_H
#define LUAFCGID2_LUA_API_H

#include "config.h"
#include "lua/call.h"
#include "lua/state.h"

#include <lua.h>

struct env; /* lua/env.h */

/* Registers all of it in a new state, and returns what the state keeps of it. Raises. */
struct env *api_open(lua_State *L, const struct config *config);

/* Serves a request: sets the variables of lua/env.h and calls the entry point. If that
 * has sent nothing, the string that it returns becomes the body. Returns false with
 * `error` filled when it fails. Where the script waits without a thread, call->waits is
 * set; then the request is not over. That needs call->operations. */
bool api_serve(struct script *s, struct call *call, struct script_error *error);

/* The same for a script that has waited: api_serve or this has returned true, with
 * call->waits. What has come is in state_awaited. */
bool api_go_on(struct script *s, struct call *call, struct script_error *error);

#endif
