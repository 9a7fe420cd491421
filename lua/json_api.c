/* JSON for scripts, through lua-cjson or else dkjson. Runs in the thread that owns the
 * state. A library is looked for when a script first needs one, and kept in the registry.
 *
 * Both libraries are made to agree about null: it is lf.null, a light userdata, which is
 * cjson.null. */
#include "lua/json_api.h"

#include "lua/form.h"
#include "lua/limit.h"
#include "lua/refusal.h"
#include "lua/scratch.h"

#include <lauxlib.h>
#include <stdbool.h>
#include <string.h>

static const char library; /* its address is the key in the registry */

/* Decoders and encoders take a value and give a value, or raise. */
enum library_field { DECODE = 1, ENCODE };

static void push_null(lua_State *L)
{
    lua_pushlightuserdata(L, NULL);
}

/* -- dkjson, whose functions are called in other ways -- */

static bool is_blank(const char *s)
{
    return s[strspn(s, " \t\r\n")] == '\0';
}

/* (text); the upvalue is dkjson.decode. It says nothing about what follows the value. */
static int decode_by_dkjson(lua_State *L)
{
    size_t len;
    const char *text = luaL_checklstring(L, 1, &len);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_pushinteger(L, 1);
    push_null(L);
    lua_call(L, 3, 3);
    if (lua_isstring(L, 4))
        return luaL_error(L, "%s", lua_tostring(L, 4));
    lua_Integer next = lua_tointeger(L, 3);
    if (next < 1 || (size_t)next > len + 1 || memchr(text, '\0', len) != NULL ||
        !is_blank(text + next - 1))
        return luaL_error(L, "something follows the value, at byte %I", next);
    lua_settop(L, 2);
    return 1;
}

/* dkjson calls it with (reason, value, state, message) for what it cannot write. */
static int encode_null(lua_State *L)
{
    if (lua_islightuserdata(L, 2) && lua_touserdata(L, 2) == NULL) {
        lua_pushliteral(L, "null");
        return 1;
    }
    lua_pushnil(L);
    lua_pushvalue(L, 4);
    return 2;
}

/* (value); the upvalue is dkjson.encode. */
static int encode_by_dkjson(lua_State *L)
{
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_pushvalue(L, 1);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, encode_null);
    lua_setfield(L, -2, "exception");
    lua_call(L, 2, 1);
    return 1;
}

/* -- Which library -- */

/* Pushes the module `name` and returns true, or pushes nothing. Its own errors, other
 * than that it is not there, are raised when it is asked for again. */
static bool load(lua_State *L, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushstring(L, name);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK && lua_istable(L, -1))
        return true;
    lua_pop(L, 1);
    limit_check(L);
    return false;
}

/* Replaces the module on top by its function `name`, through `adapter` if there is one.
 */
static void keep_function(lua_State *L, const char *name, lua_CFunction adapter, int slot)
{
    lua_getfield(L, -1, name);
    if (adapter != NULL)
        lua_pushcclosure(L, adapter, 1);
    lua_rawseti(L, -3, slot);
}

/* Pushes a function of the library. */
static void push_function(lua_State *L, enum library_field field)
{
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &library) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_createtable(L, 2, 0);
        bool fast = load(L, "cjson");
        if (!fast && !load(L, "dkjson"))
            luaL_error(L, "JSON needs a library that is not installed: lua-cjson, or "
                          "lua-dkjson (these are Debian's packages)");
        keep_function(L, "decode", fast ? NULL : decode_by_dkjson, DECODE);
        keep_function(L, "encode", fast ? NULL : encode_by_dkjson, ENCODE);
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &library);
    }
    lua_rawgeti(L, -1, field);
    lua_remove(L, -2);
}

/* -- The functions -- */

/* Replaces the text on top by its value. What is no JSON is the client's fault. */
static void decode(lua_State *L)
{
    push_function(L, DECODE);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 1, 0) == LUA_OK)
        return;
    limit_check(L);
    const char *why = lua_isstring(L, -1) ? lua_tostring(L, -1) : "not understood";
    refusal_raise(L, 400, "the body is no JSON: %s", why);
}

/* The value is kept in the memo, in a table around it: it may be false. The body is on
 * top, the memo below. */
static int keep_json(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    lua_createtable(L, 1, 0);
    lua_insert(L, -2);
    decode(L);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_setfield(L, -3, "json");
    lua_rawgeti(L, -1, 1);
    return 1;
}

static int json(lua_State *L, int first)
{
    lua_settop(L, first - 1);
    form_push_memo(L);
    if (lua_getfield(L, -1, "json") == LUA_TTABLE) {
        lua_rawgeti(L, -1, 1);
        return 1;
    }
    push_function(L, DECODE); /* so that its absence is said before a body is read */
    lua_settop(L, first);
    return form_await_body(L, "lf.json", 0, keep_json);
}

static int json_encode(lua_State *L, int first)
{
    luaL_checkany(L, first);
    lua_settop(L, first);
    push_function(L, ENCODE);
    lua_insert(L, -2);
    lua_call(L, 1, 1);
    return 1;
}

static const struct facility_row rows[] = {
    {"json", NULL, json},
    {"json_encode", NULL, json_encode},
    {0},
};

static void open(lua_State *L, const struct config *config)
{
    (void)config;
    lua_getglobal(L, "lf");
    push_null(L);
    lua_setfield(L, -2, "null");
    lua_pop(L, 1);
}

const struct facility json_api = {.table = "lf", .rows = rows, .open = open};
