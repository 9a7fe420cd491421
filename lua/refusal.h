/* Errors that refuse what a client sent. They are not the script's fault: the response
 * has a status that says so, and the log gets one line without a traceback.
 *
 * For the script such an error is a string like any other. pcall catches it, and the
 * script may answer as it likes. When it raises the string again, that is the same
 * refusal. */
#ifndef LUAFCGID2_LUA_REFUSAL_H
#define LUAFCGID2_LUA_REFUSAL_H

#include <lua.h>

/* Raises one; `status` is an HTTP status of 400 or more, `format` is lua_pushfstring's.
 * It does not return, but callers can write `return refusal_raise(...)`. */
int refusal_raise(lua_State *L, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Returns the status of the error value at `index`, or 0 if it is no refusal. Raises
 * nothing. */
int refusal_status(lua_State *L, int index);

#endif
