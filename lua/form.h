/* What the client sent, parsed once a request: the query, the form in the body, the files
 * that came with it. All raise Lua errors; those about what the client sent are refusals
 * (lua/refusal.h).
 *
 * The first look at a form reads the whole body. That waits while it arrives
 * (lua/pace.h), so it has a continuation; all else blocks for nothing. */
#ifndef LUAFCGID2_LUA_FORM_H
#define LUAFCGID2_LUA_FORM_H

#include <lua.h>

/* Reads the form, if that was not done yet, and calls `k`, with the stack as it is now.
 * To be called as `return`. */
int form_await(lua_State *L, lua_KContext context, lua_KFunction k);

/* Push a table. In `k`, or later in the same request. */
void form_push_fields(lua_State *L);
void form_push_files(lua_State *L);

void form_push_query(lua_State *L);

/* Pushes a table for what is made of this request once, with names for keys. */
void form_push_memo(lua_State *L);

/* Calls `k` with the body, of whatever type it is, as a string on top of the stack.
 * `what` is the function that wants it, for the error when the script has read it
 * already. To be called as `return`. */
int form_await_body(lua_State *L, const char *what, lua_KContext context,
                    lua_KFunction k);

#endif
