/* What the client sent, parsed once a request: the query, the form in the body, the files
 * that came with it. All raise Lua errors; those about what the client sent are refusals
 * (lua/refusal.h).
 *
 * The first look at a form reads the whole body, and blocks as request_read says. */
#ifndef LUAFCGID2_LUA_FORM_H
#define LUAFCGID2_LUA_FORM_H

#include <lua.h>

struct buffer;

/* Push a table. */
void form_push_query(lua_State *L);
void form_push_fields(lua_State *L);
void form_push_files(lua_State *L);

/* Pushes a table for what is made of this request once, with names for keys. */
void form_push_memo(lua_State *L);

/* Appends the body, of whatever type it is, to `b`. `what` is the function that wants it,
 * for the error when the script has read it already. */
void form_read_body(lua_State *L, struct buffer *b, const char *what);

#endif
