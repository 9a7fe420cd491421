/* The functions of Shared, but for those that depend on what runs in the state. All of
 * them raise Lua errors about their arguments, of which `first` is the first one. */
#ifndef LUAFCGID2_LUA_SHARED_CALL_H
#define LUAFCGID2_LUA_SHARED_CALL_H

#include "store/shared.h"

#include <lua.h>

/* Each pushes its one result, as a lua_CFunction. `max` is SharedMaxSize. */
int shared_call_set(lua_State *L, int first, int64_t max);
int shared_call_add(lua_State *L, int first, int64_t max);
int shared_call_swap(lua_State *L, int first, int64_t max);
int shared_call_increase(lua_State *L, int first, int64_t max);
int shared_call_delete(lua_State *L, int first);

/* The string at `index`, which Lua owns. */
struct bytes shared_call_text(lua_State *L, int index);

/* The optional number of seconds in units of which a second has `units`; 0: for ever. */
int64_t shared_call_life(lua_State *L, int index, int64_t units);

void shared_call_push(lua_State *L, const struct shared_value *value);

#endif
