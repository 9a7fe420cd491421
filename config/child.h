/* os.execute and io.popen of hooks. For the files of this folder only. */
#ifndef LUAFCGID2_CONFIG_CHILD_H
#define LUAFCGID2_CONFIG_CHILD_H

#include <lua.h>

/* Replaces these functions in L, the state of an engine. A child gets none of the
 * daemon's descriptors and blocked signals (base/process.h). It is killed, with what it
 * has started, when its engine's time is over while it is waited for, when
 * process_kill_left is called for the engine's owner, or when the state is closed. Raises
 * Lua errors; leaves the stack as it found it. */
void child_replace(lua_State *L);

#endif
