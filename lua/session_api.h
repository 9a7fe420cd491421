/* Sessions as scripts see them: the table `Session` and `con.session`. */
#ifndef LUAFCGID2_LUA_SESSION_API_H
#define LUAFCGID2_LUA_SESSION_API_H

#include <lua.h>

/* Sets the global `Session`. */
void session_api_open(lua_State *L);

/* Sets the field `session` of the table on top, which holds con's methods. */
void session_api_open_con(lua_State *L);

#endif
