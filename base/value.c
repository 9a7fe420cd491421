/* Lua values as bytes and back. Runs on any thread, on the lua_State its caller owns;
 * keeps nothing and takes no lock.
 *
 * One value is a tag byte and what the tag asks for:
 *
 *     F T         false, true
 *     I varint    an integer: zigzag, then seven bits a byte, the lowest first
 *     D 8 bytes   a float: IEEE 754 binary64, the lowest byte first
 *     S varint .. a string: its length, its bytes
 *     {  values ; pairs }
 *                 a table: its values at 1, 2, 3, ... then its other keys and values
 *
 * Integers and floats stay apart, -0.0 and NaN keep their bits. Order in a table is the
 * order of lua_next, so equal tables need not have equal bytes. */
#include "base/value.h"

#include <lauxlib.h>
#include <lua.h>
#include <stdint.h>
#include <string.h>

_Static_assert(sizeof(lua_Integer) == sizeof(int64_t), "integers of 64 bits");
_Static_assert(sizeof(lua_Number) == sizeof(uint64_t), "floats of 64 bits");

enum {
    TAG_FALSE = 'F',
    TAG_TRUE = 'T',
    TAG_INTEGER = 'I',
    TAG_FLOAT = 'D',
    TAG_STRING = 'S',
    TAG_TABLE = '{',
    TAG_PAIRS = ';',
    TAG_END = '}',
};

static const char OUT_OF_MEMORY[] = "out of memory";
static const char TOO_LARGE[] = "a value of more than 16 MiB";
static const char TOO_DEEP[] = "a table that contains itself or is nested too deep";

/* -- Writing -- */

struct writer {
    struct lua_State *L;
    struct buffer *out;
    size_t start; /* length of `out` before this value */
};

static const char *put(struct writer *w, const void *data, size_t len)
{
    if (len > VALUE_SIZE_MAX - (w->out->len - w->start))
        return TOO_LARGE;
    return buffer_append(w->out, data, len) ? NULL : OUT_OF_MEMORY;
}

static const char *put_tag(struct writer *w, char tag)
{
    return put(w, &tag, 1);
}

static const char *put_number(struct writer *w, char tag, uint64_t n)
{
    unsigned char bytes[11];
    size_t len = 0;
    bytes[len++] = (unsigned char)tag;
    while (n > 0x7f) {
        bytes[len++] = (unsigned char)(0x80 | (n & 0x7f));
        n >>= 7;
    }
    bytes[len++] = (unsigned char)n;
    return put(w, bytes, len);
}

static const char *put_integer(struct writer *w, lua_Integer i)
{
    uint64_t u = (uint64_t)i;
    return put_number(w, TAG_INTEGER, i < 0 ? ~(u << 1) : u << 1);
}

static const char *put_float(struct writer *w, lua_Number number)
{
    unsigned char bytes[9] = {TAG_FLOAT};
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    for (int i = 0; i < 8; i++)
        bytes[i + 1] = (unsigned char)(bits >> (8 * i));
    return put(w, bytes, sizeof bytes);
}

/* lua_tolstring would change a number in place and break lua_next: strings only. */
static const char *put_string(struct writer *w, int index)
{
    size_t len;
    const char *s = lua_tolstring(w->L, index, &len);
    const char *why = put_number(w, TAG_STRING, len);
    return why != NULL ? why : put(w, s, len);
}

static const char *put_value(struct writer *w, int index, int depth);

/* Writes the values at 1, 2, 3, ... up to the first nil. `count` becomes their number. */
static const char *put_sequence(struct writer *w, int table, int depth,
                                lua_Integer *count)
{
    lua_Integer len = (lua_Integer)lua_rawlen(w->L, table);
    const char *why = NULL;
    for (*count = 0; why == NULL && *count < len; ++*count) {
        if (lua_rawgeti(w->L, table, *count + 1) == LUA_TNIL) {
            lua_pop(w->L, 1);
            break;
        }
        why = put_value(w, lua_gettop(w->L), depth);
        lua_pop(w->L, 1);
    }
    return why;
}

static const char *put_pairs(struct writer *w, int table, int depth, lua_Integer done)
{
    lua_State *L = w->L;
    lua_pushnil(L);
    while (lua_next(L, table)) {
        int value = lua_gettop(L), key = value - 1;
        bool in_sequence = lua_isinteger(L, key) && lua_tointeger(L, key) >= 1 &&
                           lua_tointeger(L, key) <= done;
        const char *why = NULL;
        if (!in_sequence) {
            if (lua_istable(L, key))
                why = "a table as a key";
            if (why == NULL)
                why = put_value(w, key, depth);
            if (why == NULL)
                why = put_value(w, value, depth);
        }
        if (why != NULL)
            return why; /* value_encode restores the stack */
        lua_pop(L, 1);
    }
    return NULL;
}

static const char *put_table(struct writer *w, int table, int depth)
{
    if (depth >= VALUE_DEPTH_MAX)
        return TOO_DEEP;
    if (!lua_checkstack(w->L, 4))
        return OUT_OF_MEMORY;
    lua_Integer count = 0;
    const char *why = put_tag(w, TAG_TABLE);
    if (why == NULL)
        why = put_sequence(w, table, depth + 1, &count);
    if (why == NULL)
        why = put_tag(w, TAG_PAIRS);
    if (why == NULL)
        why = put_pairs(w, table, depth + 1, count);
    return why != NULL ? why : put_tag(w, TAG_END);
}

static const char *put_value(struct writer *w, int index, int depth)
{
    switch (lua_type(w->L, index)) {
    case LUA_TBOOLEAN:
        return put_tag(w, lua_toboolean(w->L, index) ? TAG_TRUE : TAG_FALSE);
    case LUA_TNUMBER:
        if (lua_isinteger(w->L, index))
            return put_integer(w, lua_tointeger(w->L, index));
        return put_float(w, lua_tonumber(w->L, index));
    case LUA_TSTRING:
        return put_string(w, index);
    case LUA_TTABLE:
        return put_table(w, index, depth);
    case LUA_TFUNCTION:
        return "a function";
    case LUA_TTHREAD:
        return "a coroutine";
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        return "a userdata";
    default:
        return "nil";
    }
}

const char *value_encode(struct lua_State *L, int index, struct buffer *out)
{
    struct writer w = {.L = L, .out = out, .start = out->len};
    int top = lua_gettop(L);
    const char *why = put_value(&w, lua_absindex(L, index), 0);
    lua_settop(L, top);
    if (why != NULL)
        out->len = w.start;
    return why;
}

/* -- Reading: every function returns false at the first byte that is wrong -- */

struct reader {
    struct lua_State *L;
    const unsigned char *at, *end;
};

static bool get_number(struct reader *r, uint64_t *n)
{
    *n = 0;
    for (unsigned shift = 0; shift < 64 && r->at < r->end; shift += 7) {
        uint64_t bits = *r->at & 0x7f;
        if (shift == 63 && bits > 1)
            return false;
        *n |= bits << shift;
        if (!(*r->at++ & 0x80))
            return true;
    }
    return false;
}

static bool get_integer(struct reader *r)
{
    uint64_t u;
    if (!get_number(r, &u))
        return false;
    u = (u >> 1) ^ (~(u & 1) + 1);
    lua_Integer i;
    memcpy(&i, &u, sizeof i);
    lua_pushinteger(r->L, i);
    return true;
}

static bool get_float(struct reader *r)
{
    if (r->end - r->at < 8)
        return false;
    uint64_t bits = 0;
    for (int i = 0; i < 8; i++)
        bits |= (uint64_t)*r->at++ << (8 * i);
    lua_Number number;
    memcpy(&number, &bits, sizeof number);
    lua_pushnumber(r->L, number);
    return true;
}

static bool get_string(struct reader *r)
{
    uint64_t len;
    if (!get_number(r, &len) || len > (uint64_t)(r->end - r->at))
        return false;
    lua_pushlstring(r->L, (const char *)r->at, (size_t)len);
    r->at += len;
    return true;
}

/* Whether the next byte is `tag`, which it then consumes. */
static bool take(struct reader *r, int tag)
{
    if (r->at == r->end || *r->at != tag)
        return false;
    r->at++;
    return true;
}

static bool get_value(struct reader *r, int depth);

/* lua_rawset raises an error for NaN, and we write no tables as keys. */
static bool key_is_sound(lua_State *L)
{
    if (lua_istable(L, -1))
        return false;
    return lua_type(L, -1) != LUA_TNUMBER || lua_tonumber(L, -1) == lua_tonumber(L, -1);
}

static bool get_table(struct reader *r, int depth)
{
    lua_State *L = r->L;
    if (depth >= VALUE_DEPTH_MAX)
        return false;
    luaL_checkstack(L, 4, "a kept value");
    lua_newtable(L);
    for (lua_Integer i = 1; !take(r, TAG_PAIRS); i++) {
        if (!get_value(r, depth + 1))
            return false;
        lua_rawseti(L, -2, i);
    }
    while (!take(r, TAG_END)) {
        if (!get_value(r, depth + 1) || !key_is_sound(L) || !get_value(r, depth + 1))
            return false;
        lua_rawset(L, -3);
    }
    return true;
}

/* Pushes one value. On false some values may be left: value_push drops them. */
static bool get_value(struct reader *r, int depth)
{
    if (r->at == r->end)
        return false;
    switch (*r->at++) {
    case TAG_FALSE:
        lua_pushboolean(r->L, 0);
        return true;
    case TAG_TRUE:
        lua_pushboolean(r->L, 1);
        return true;
    case TAG_INTEGER:
        return get_integer(r);
    case TAG_FLOAT:
        return get_float(r);
    case TAG_STRING:
        return get_string(r);
    case TAG_TABLE:
        return get_table(r, depth);
    default:
        return false;
    }
}

bool value_push(struct lua_State *L, const char *data, size_t len)
{
    static const unsigned char nothing[1];
    const unsigned char *bytes = len > 0 ? (const unsigned char *)data : nothing;
    struct reader r = {.L = L, .at = bytes, .end = bytes + len};
    luaL_checkstack(L, 4, "a kept value");
    int top = lua_gettop(L);
    if (get_value(&r, 0) && r.at == r.end)
        return true;
    lua_settop(L, top);
    return false;
}
