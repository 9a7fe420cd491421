/* What keeps a script under its limits, whatever functions of the standard library it
 * calls: coroutines, error handlers, finalizers, metatables, debug. */
#ifndef LUAFCGID2_LUA_GUARD_H
#define LUAFCGID2_LUA_GUARD_H

#include <lua.h>

/* Replaces those functions in L, a state of lua/script.c in which luaL_openlibs has
 * opened the libraries. To be called after all others that replace functions. Raises Lua
 * errors; leaves the stack as it found it. */
void guard_open(lua_State *L);

/* -- Replacing functions of the library -- */

/* A function that takes the place of another. Its first upvalue is the other one. */
struct guard_row {
    const char *library; /* the global table that the function is in; "_G" */
    const char *name;
    lua_CFunction function;
};

/* Replaces each of the rows, of which the last has no library. */
void guard_replace_all(lua_State *L, const struct guard_row *rows);

/* The same in the state of hooks (config.h). Those functions have a second upvalue, which
 * is true; they must look at the limits by guard_check only. */
#define GUARD_OF_HOOKS 2
void guard_replace_all_for_hooks(lua_State *L, const struct guard_row *rows);

/* For such a function: how to look at the limits of the state that it is in, which is
 * limit_check or, in a state of hooks, config_hooks_check. `upvalue` is GUARD_OF_HOOKS,
 * or where else a closure that the function has made keeps its value. */
typedef void (*guard_look)(lua_State *L);
guard_look guard_check(lua_State *L, int upvalue);

/* Replaces field `name` of the table on top. */
void guard_replace(lua_State *L, const char *name, lua_CFunction function);

/* For such a function: hands its arguments on to what it replaced, and returns what that
 * returns. */
int guard_original(lua_State *L);

/* The continuation of a function that returns all that is on its stack (lua_callk). */
int guard_all_results(lua_State *L, int status, lua_KContext context);

/* -- Metatables and finalizers -- */

/* Pops a metatable and gives it to the table below it. Scripts do not see it; before
 * setmetatable replaces it, its function GUARD_REVEAL is called with the table. Several
 * tables may share one. */
#define GUARD_REVEAL "__reveal"
void guard_set_hidden_metatable(lua_State *L);

/* Guards the finalizers that are not guarded yet. To be called before all are called:
 * when the state is closed, or its garbage collected. Raises nothing; without memory for
 * it some stay as they are. */
void guard_finalizers(lua_State *L);

#endif
