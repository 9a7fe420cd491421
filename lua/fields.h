/* Forms and queries as tables: names and values as a URL has them, decoded. All raise Lua
 * errors. */
#ifndef LUAFCGID2_LUA_FIELDS_H
#define LUAFCGID2_LUA_FIELDS_H

#include <lua.h>
#include <stdbool.h>
#include <stddef.h>

/* Pushes `s` decoded. A '%' without two hexadecimal digits after it stays as it is. */
void fields_push_decoded(lua_State *L, const char *s, size_t len);

/* Pushes the decoded name and value of "name=value". */
void fields_push_pair(lua_State *L, const char *s, size_t len);

/* Pops name and value and puts them into the table below; the values of a repeated name
 * become a list. No value may be a table. */
void fields_add(lua_State *L);

/* Counts one more field. false: there are more than MaxFormFields. */
bool fields_count(lua_State *L, int *fields);

/* Pushes the text of the refusal (400) of too many fields, and returns it. */
const char *fields_push_too_many(lua_State *L);

/* Pushes the table of "name=value&name=value". false: it has too many fields, and nothing
 * is pushed. */
bool fields_try_parse(lua_State *L, const char *s, size_t len);

/* The same, but refuses too many fields. */
void fields_parse(lua_State *L, const char *s, size_t len);

#endif
