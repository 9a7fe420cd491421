/* Forms and queries as tables: names and values as a URL has them, decoded. All raise Lua
 * errors. */
#ifndef LUAFCGID2_LUA_FIELDS_H
#define LUAFCGID2_LUA_FIELDS_H

#include <lua.h>
#include <stddef.h>

/* Pushes `s` decoded. A '%' without two hexadecimal digits after it stays as it is. */
void fields_push_decoded(lua_State *L, const char *s, size_t len);

/* Pushes the decoded name and value of "name=value". */
void fields_push_pair(lua_State *L, const char *s, size_t len);

/* Pops name and value and puts them into the table below; the values of a repeated name
 * become a list. No value may be a table. */
void fields_add(lua_State *L);

/* Counts one more field. More than MaxFormFields are refused (400). */
void fields_count(lua_State *L, int *fields);

/* Pushes the table of "name=value&name=value". */
void fields_parse(lua_State *L, const char *s, size_t len);

#endif
