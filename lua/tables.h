/* table.move, replaced by one that limits reach: the bounds that it is given may come
 * from a client, and between them may be more places than can be counted. */
#ifndef LUAFCGID2_LUA_TABLES_H
#define LUAFCGID2_LUA_TABLES_H

#include <lua.h>

/* Replaces it in a new state of a script. */
void tables_open(lua_State *L);

/* The same in a state of a configuration and its hooks. */
void tables_open_for_hooks(lua_State *L);

#endif
