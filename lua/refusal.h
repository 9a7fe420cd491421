/* Errors by which a script's library refuses what a client sent: not the script's fault,
 * so the response has a status of its own, the log gets one line, and no traceback.
 *
 * To the script such an error is a string like any other: pcall catches it, and the
 * script may answer as it likes. Raised again as it is, it is the same error. */
#ifndef LUAFCGID2_LUA_REFUSAL_H
#define LUAFCGID2_LUA_REFUSAL_H

#include <lua.h>

/* Raises one: `status` is an HTTP status from 400 on. Returns nothing, but can be written
 * as `return`. `format` is lua_pushfstring's. */
int refusal_raise(lua_State *L, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The status of the error value at `index`; 0: it is no refusal. Raises nothing. */
int refusal_status(lua_State *L, int index);

#endif
