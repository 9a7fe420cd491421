/* Sessions as scripts see them: the tables Session and con.session. */
#ifndef LUAFCGID2_LUA_SESSION_API_H
#define LUAFCGID2_LUA_SESSION_API_H

#include "lua/facility.h"

#include <stdbool.h>

struct session_id;

extern const struct facility session_api;

/* The request's session; NULL: there is none. With `make` one is made if need be; NULL
 * then means that it could not be, as the log says. */
const struct session_id *session_api_id(lua_State *L, bool make);

#endif
