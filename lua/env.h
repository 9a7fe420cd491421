/* The global variables that describe the request to a script: Env, Cookies,
 * LocalConfig, Info; and Config.
 *
 * Each of the four is made when the script first looks at it. Most scripts look at
 * few, and to make Env costs more than the rest of a small page. luafcgid2-lua(3) says
 * what is in them. */
#ifndef LUAFCGID2_LUA_ENV_H
#define LUAFCGID2_LUA_ENV_H

#include "request.h"

#include <lua.h>

#define LUAFCGID2_VERSION 2 /* LUAFCGID_VERSION */

struct env; /* what a state keeps for this file; in Lua's memory */

/* Sets Config. To be called once for a new state, when its libraries are open. Raises. */
struct env *env_open(lua_State *L, const struct config *config);

/* From here to env_end the variables describe `request`; those of an earlier request are
 * gone. Raises. */
void env_begin(lua_State *L, struct env *g, struct request *request, int worker);
void env_end(struct env *g);

/* Pushes the request's Env. Raises. */
void env_push_env(lua_State *L, struct env *g);

#endif
