/* `con`, the second argument of an entry point: an object that stands for the request.
 *
 * Its methods are those that the facilities register (lua/facility.h). A con is valid for
 * one request only; a script that keeps one and uses it later gets an error. */
#ifndef LUAFCGID2_LUA_CON_H
#define LUAFCGID2_LUA_CON_H

#include <lua.h>

/* Once for a new state, before the facilities register their methods. Raises. */
void con_open(lua_State *L);

/* Pushes the table of con's methods. */
void con_push_methods(lua_State *L);

/* Pushes the con of the present request. Raises. */
void con_push(lua_State *L);

/* Raises unless argument 1 is the con of the present request. */
void con_check(lua_State *L);

#endif
