/* The working directory that scripts see: their own.
 *
 * On Linux a thread can have one of its own. Where it cannot, as in a container that
 * forbids unshare(2), the functions of the standard library look relative names up in the
 * script's directory by themselves; what C modules open is then relative to the
 * daemon's. */
#ifndef LUAFCGID2_LUA_DIRECTORY_H
#define LUAFCGID2_LUA_DIRECTORY_H

#include "lua/source.h"

#include <lua.h>
#include <stdbool.h>

/* The working directory of one thread, which alone touches it. Zeroed memory is that of a
 * thread that shares the daemon's. */
struct directory {
    bool own;
    struct source_ref at; /* that it is in; without a source: unknown */
};

/* Gives the calling thread a working directory of its own, before it runs any script.
 * Where that is refused it shares the daemon's, as the log then says, once. */
void directory_make_own(struct directory *d);

/* Makes the directory of `script`, the path of a file, the working directory; "/" where
 * there is no such directory any more. Does nothing in a thread without one of its own.
 * May block on the file system. */
void directory_enter(struct directory *d, const char *script);

/* At the end of the thread. */
void directory_release(struct directory *d);

/* Where some thread shares the daemon's: replaces the functions of L, a state of
 * lua/script.c with its libraries open, that take the name of a file or start a command.
 * Raises Lua errors; leaves the stack as it found it. */
void directory_open(lua_State *L);

#endif
