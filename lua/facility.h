/* Facilities: what scripts can call, one file for each group of functions.
 *
 * A facility is a table of rows in a file named lua/X_api.c, and lua/api.c lists them
 * all. A new function or method is a new row. A new facility is a new file and one line
 * in lua/api.c.
 *
 * A row has the name of a function (v2's style, "Send"), the name of a method of con
 * (v1's style, "puts"), or both when they do the same.
 *
 * Globals are set when a state is made. All else is made when a script first looks for
 * it, since most scripts use a few of some hundred functions: the tables of functions and
 * those of methods are empty at first and have a metatable that scripts do not see. They
 * notice it by rawget and next only; pairs finds all that is there. What a script has set
 * or removed stays as it wants it, and setmetatable works. */
#ifndef LUAFCGID2_LUA_FACILITY_H
#define LUAFCGID2_LUA_FACILITY_H

#include "config.h"

#include <lua.h>

struct facility_row {
    const char *name;   /* of the function; NULL: there is none */
    const char *method; /* of con's method; NULL: there is none */

    /* As a lua_CFunction. `first` is the index of the first argument that the script
     * wrote: 1 for a function. It is 2 for a method, whose own object is argument 1 and
     * has been checked. With it the errors about arguments count as Lua does. */
    int (*function)(lua_State *L, int first);
};

struct facility {
    const char *table;     /* global that holds the functions; NULL: they are globals */
    const char *con_table; /* field of con that holds the methods; NULL: con itself */
    const struct facility_row *rows; /* the last one has no function */

    /* NULL, or sets values that are no functions when the state is made. Leaves the stack
     * as it is. */
    void (*open)(lua_State *L, const struct config *config);

    /* NULL, or puts values into `table`, which is on top, when a script first looks for
     * something that is not in it. With raw access only; leaves the stack as it is. */
    void (*fill)(lua_State *L);
};

/* Registers facilities in a new state in which con_open and guard_open were called. The
 * last of the list is NULL; the list stays where it is. Several facilities may share a
 * table. May be called again with others. Raises Lua errors; leaves the stack as it is.
 */
void facility_open(lua_State *L, const struct facility *const *list,
                   const struct config *config);

#endif
