/* The switch by which Lua turns hooks off.
 *
 * While Lua runs a finalizer or a hook, or the handler of an error in one of these, it
 * calls no hook in that coroutine, so no hook could end a loop there. Lua keeps this
 * switch in a byte of lua_State, and has no function to change it. */
#ifndef LUAFCGID2_LUA_HOOKSWITCH_H
#define LUAFCGID2_LUA_HOOKSWITCH_H

#include <lua.h>
#include <stdbool.h>

/* Finds the byte by experiment and tests that it works. To be called once in a process,
 * before there are threads. Returns false when the byte is not certain, or without
 * memory; then hookswitch_on does nothing. */
bool hookswitch_find(void);

/* Turns the hooks of L on, until Lua has finished what it turned them off for. To be
 * called by the thread that runs L, or by a signal handler in it. */
void hookswitch_on(lua_State *L);

#endif
