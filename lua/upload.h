/* Uploaded files as scripts see them: objects with name, size, type, read and save. They
 * are valid in their request only. All raise Lua errors. */
#ifndef LUAFCGID2_LUA_UPLOAD_H
#define LUAFCGID2_LUA_UPLOAD_H

#include "http/multipart.h"

#include <lua.h>
#include <stdbool.h>

/* Pushes the object of a new file, of which nothing has come yet. */
void upload_push(lua_State *L, const struct multipart_part *part);

/* The object on top: appends to its file; notes that it has come as a whole. false with
 * errno: it cannot be stored. */
bool upload_write(lua_State *L, const char *data, size_t len);
bool upload_finish(lua_State *L);

/* Pushes what to say of that, by errno. */
void upload_push_error(lua_State *L);

/* Whether the object on top is the empty input of a form in which no file was chosen. */
bool upload_is_none(lua_State *L);

#endif
