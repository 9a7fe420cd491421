/* The working directory that scripts see: their own.
 *
 * On Linux a thread can have one of its own. Where it cannot, as in a container that
 * forbids unshare(2), the functions of the standard library look relative names up in the
 * script's directory by themselves; what C modules open is then relative to the
 * daemon's. */
#ifndef LUAFCGID2_LUA_DIRECTORY_H
#define LUAFCGID2_LUA_DIRECTORY_H

#include <lua.h>
#include <stdbool.h>

/* Gives the calling thread a working directory of its own, before it runs any script.
 * false: it shares the daemon's, as the log then says, once. */
bool directory_make_own(void);

/* Where some thread shares the daemon's: replaces the functions of L, a state of
 * lua/script.c with its libraries open, that take the name of a file or start a command.
 * Raises Lua errors; leaves the stack as it found it. */
void directory_open(lua_State *L);

#endif
