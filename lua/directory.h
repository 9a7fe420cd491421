/* The working directory of scripts: the directory of their file.
 *
 * On Linux each thread can have one of its own. In a container that forbids
 * unshare(2), and on other systems, it cannot: then the functions of the standard
 * library look up relative names in the script's directory, and what C modules open is
 * relative to the daemon's. */
#ifndef LUAFCGID2_LUA_DIRECTORY_H
#define LUAFCGID2_LUA_DIRECTORY_H

#include "lua/source.h"

#include <lua.h>
#include <stdbool.h>

/* The working directory of one thread, which alone uses this. Zeroed memory stands for a
 * thread that shares the daemon's. */
struct directory {
    bool own;
    struct source_ref at; /* where it is; without a source: unknown */
};

/* Gives the calling thread a working directory of its own, before it runs any script.
 * When the system refuses that, the thread shares the daemon's, and the log says so
 * once. */
void directory_make_own(struct directory *d);

/* Makes the directory of `script`, the path of a file, the working directory; or "/" if
 * there is no such directory any more. Does nothing in a thread that shares the daemon's.
 * May block on the file system. */
void directory_enter(struct directory *d, const char *script);

/* The same for the calling thread, whichever it is. A state that is made notes where its
 * directory is, and may find another one there than the thread is in: it must not keep
 * what it reads from that. false: there is none. */
bool directory_renew(const char *script);

/* To be called at the end of the thread. */
void directory_release(struct directory *d);

/* If some thread shares the daemon's: replaces the functions that take the name of a file
 * or start a command in L, a state of lua/script.c whose libraries are open. Raises Lua
 * errors; leaves the stack as it found it. */
void directory_open(lua_State *L);

#endif
