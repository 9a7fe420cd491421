/* The standard library as scripts get it.
 *
 * What belongs to the whole process is given to each state alone, or taken away: os.exit
 * ends the request, random numbers are a state's own, standard output is the log,
 * children start clean. What could outlive a limit is fenced: coroutines, xpcall
 * handlers and finalizers. What reads Lua reads source only, and is remembered, so that
 * an edited file renews the states made from it. */
#ifndef LUAFCGID2_LIBRARY_H
#define LUAFCGID2_LIBRARY_H

#include <lua.h>

/* Replaces functions of the libraries that luaL_openlibs opened in L, a state of
 * script.c. Raises Lua errors; leaves the stack as it found it. */
void library_open(lua_State *L);

/* Pops a metatable and gives it to the table below it. Scripts do not see it; before
 * setmetatable replaces it its function LIBRARY_REVEAL is called. One for each state. */
#define LIBRARY_REVEAL "__reveal"
void library_set_hidden_metatable(lua_State *L);

/* Guards finalizers that are not yet: before all are called, when the state is closed or
 * its garbage collected. Raises nothing; what there is no memory for is left out. */
void library_guard(lua_State *L);

/* Logs what is left of an unfinished line on the script's standard output. */
void library_flush(lua_State *L);

#endif
