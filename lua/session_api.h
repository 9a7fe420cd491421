/* Sessions as scripts see them: the table `Session` and `con.session`. */
#ifndef LUAFCGID2_LUA_SESSION_API_H
#define LUAFCGID2_LUA_SESSION_API_H

#include "store/session.h"
#include <lua.h>
#include <stdbool.h>

/* What a request knows of its session; zeroed at its start. */
struct session_call {
    bool looked_up; /* the request's cookies were tried */
    bool present;   /* `id` is its session */
    struct session_id id;
};

/* Sets the global `Session`. */
void session_api_open(lua_State *L);

/* Sets the field `session` of the table on top, which holds con's methods. */
void session_api_open_con(lua_State *L);

#endif
