/* Forms and queries as tables. Runs in the thread that owns the state; keeps nothing. */
#include "lua/fields.h"

#include "config.h"
#include "lua/limit.h"
#include "lua/refusal.h"
#include "lua/state.h"

#include <lauxlib.h>
#include <string.h>

#define STEP_BYTES 4096 /* of work between two looks at the limit */

/* -- Decoding -- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

void fields_push_decoded(lua_State *L, const char *s, size_t len)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t next_look = STEP_BYTES;
    for (size_t i = 0; i < len; i++) {
        if (i >= next_look) {
            limit_check(L);
            next_look += STEP_BYTES;
        }
        int high = i + 2 < len && s[i] == '%' ? hex_digit(s[i + 1]) : -1;
        int low = high >= 0 ? hex_digit(s[i + 2]) : -1;
        if (low >= 0) {
            luaL_addchar(&b, (char)(high << 4 | low));
            i += 2;
        } else {
            luaL_addchar(&b, s[i] == '+' ? ' ' : s[i]);
        }
    }
    luaL_pushresult(&b);
}

void fields_push_pair(lua_State *L, const char *s, size_t len)
{
    const char *equals = len == 0 ? NULL : memchr(s, '=', len);
    size_t name_len = equals == NULL ? len : (size_t)(equals - s);
    fields_push_decoded(L, s, name_len);
    if (equals == NULL)
        lua_pushliteral(L, "");
    else
        fields_push_decoded(L, equals + 1, len - name_len - 1);
}

/* -- Tables -- */

void fields_add(lua_State *L)
{
    lua_pushvalue(L, -2);
    lua_rawget(L, -4); /* table name value old */
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_rawset(L, -3);
        return;
    }
    if (lua_istable(L, -1)) {
        lua_insert(L, -2); /* table name list value */
        lua_rawseti(L, -2, (lua_Integer)lua_rawlen(L, -2) + 1);
        lua_pop(L, 2);
        return;
    }
    lua_createtable(L, 2, 0); /* table name value old list */
    lua_insert(L, -3);        /* table name list value old */
    lua_rawseti(L, -3, 1);
    lua_rawseti(L, -2, 2);
    lua_rawset(L, -3);
}

/* The client chooses the names, and can choose many that have the same hash in Lua: then
 * adding one costs a walk along all the others. So their number is bounded. */
bool fields_count(lua_State *L, int *fields)
{
    int max = state_config(state_of(L))->max_form_fields;
    return max <= 0 || ++*fields <= max;
}

const char *fields_push_too_many(lua_State *L)
{
    return lua_pushfstring(L, "a form of more than %d fields (MaxFormFields)",
                           state_config(state_of(L))->max_form_fields);
}

bool fields_try_parse(lua_State *L, const char *s, size_t len)
{
    int fields = 0;
    lua_newtable(L);
    while (len > 0) {
        const char *end = memchr(s, '&', len);
        size_t part = end == NULL ? len : (size_t)(end - s);
        limit_check(L);
        if (part > 0) {
            if (!fields_count(L, &fields)) {
                lua_pop(L, 1);
                return false;
            }
            fields_push_pair(L, s, part);
            fields_add(L);
        }
        size_t step = part + (end != NULL);
        s += step;
        len -= step;
    }
    return true;
}

void fields_parse(lua_State *L, const char *s, size_t len)
{
    if (!fields_try_parse(L, s, len))
        refusal_raise(L, 400, "%s", fields_push_too_many(L));
}
