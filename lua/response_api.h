/* The response: Send, Flush, Reset, Header, RespStatus, RespContentType, Redirect,
 * con:config and con's methods of the same kind, and the table Response of all statuses.
 */
#ifndef LUAFCGID2_LUA_RESPONSE_API_H
#define LUAFCGID2_LUA_RESPONSE_API_H

#include "lua/facility.h"

#include <stddef.h>

extern const struct facility response_api;
extern const struct facility response_api_statuses; /* the table Response */

/* Appends the string or number at `index` to the response's body, and sends nothing yet.
 * Raises. */
void response_api_append(lua_State *L, int index);

/* As Header(name, value): raises what is wrong with them, and only warns when it is too
 * late. */
void response_api_set_header(lua_State *L, const char *name, const char *value,
                             size_t len);

/* Does what Flush does, and returns what it returns; to be called as `return`. Raises. */
int response_api_flush(lua_State *L);

#endif
