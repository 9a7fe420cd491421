/* The switch by which Lua turns hooks off.
 *
 * While Lua runs a finalizer, a hook, or the handler of an error in one of the two, it
 * calls no hook in that coroutine, and a loop there could not be ended. Lua remembers
 * this in a byte of lua_State for which it has no function. */
#ifndef LUAFCGID2_LUA_HOOKSWITCH_H
#define LUAFCGID2_LUA_HOOKSWITCH_H

#include <lua.h>
#include <stdbool.h>

/* Process-wide, once, before any thread: finds the byte by experiment, and tries whether
 * it works. False when there is none for certain, or no memory; then hookswitch_on does
 * nothing. */
bool hookswitch_find(void);

/* Hooks of L are called from here on, until Lua is done with what it turned them off for.
 * To be called by the thread that runs L, or by a signal handler in it. */
void hookswitch_on(lua_State *L);

#endif
