/* Templates: text with Lua in it, turned into Lua.
 *
 * <% code %> runs, <%= expression %> is put in with HTML escaped, <%- expression %> as it
 * is, <%# comment %> is nothing, <%% stands for <%. A line end right behind the first and
 * the last kind of tag is dropped. */
#ifndef LUAFCGID2_LUA_TEMPLATE_H
#define LUAFCGID2_LUA_TEMPLATE_H

#include "base/buffer.h"

#include <lua.h>
#include <stddef.h>

/* Appends Lua code that has its lines where the template has them. It is a chunk that is
 * called with four values: its _ENV, two functions that put in a text and a value (the
 * first escapes the value), and the function `include`. Returns 0, or the line of a tag
 * without end. Raises when a limit is broken; then `out` must be Lua's (lua/scratch.h).
 */
int template_translate(lua_State *L, const char *text, size_t len, struct buffer *out);

#endif
