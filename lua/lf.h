/* `lf`, the helper library for scripts: URL encoding, form data, serialization. Pure
 * functions of Lua values; luafcgid2-lua(3) describes them. */
#ifndef LUAFCGID2_LUA_LF_H
#define LUAFCGID2_LUA_LF_H

#include "base/buffer.h"
#include <lua.h>

/* Pushes the library's table: for luaL_requiref. */
int lf_open(lua_State *L);

/* The function lf.parse. */
int lf_parse(lua_State *L);

/* Pushes a userdata that owns a buffer, and returns that: memory that is freed even when
 * Lua raises an error while it is filled, and that counts against the state's limit. */
struct buffer *lf_push_buffer(lua_State *L);

#endif
