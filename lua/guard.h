/* What keeps a script under its limits, whatever functions of the standard library it
 * calls: coroutines, error handlers, finalizers, metatables, debug. */
#ifndef LUAFCGID2_LUA_GUARD_H
#define LUAFCGID2_LUA_GUARD_H

#include <lua.h>

/* Replaces those functions in L, a state of lua/script.c in which luaL_openlibs has
 * opened the libraries. Raises Lua errors; leaves the stack as it found it. */
void guard_open(lua_State *L);

/* Replaces field `name` of the table on top by `function`, whose first upvalue is what
 * was there. */
void guard_replace(lua_State *L, const char *name, lua_CFunction function);

/* For such a function: hands its arguments on to what it replaced, and returns what that
 * returns. */
int guard_original(lua_State *L);

/* Pops a metatable and gives it to the table below it. Scripts do not see it; before
 * setmetatable replaces it its function GUARD_REVEAL is called. One for each state. */
#define GUARD_REVEAL "__reveal"
void guard_set_hidden_metatable(lua_State *L);

/* Guards finalizers that are not yet: before all are called, when the state is closed or
 * its garbage collected. Raises nothing; what there is no memory for is left out. */
void guard_finalizers(lua_State *L);

#endif
