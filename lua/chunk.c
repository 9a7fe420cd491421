/* Compiling Lua source under the limits of a state. Runs in the thread that owns it. */
#include "lua/chunk.h"

#include "lua/limit.h"

#include <lauxlib.h>

/* Bytes between two looks at the limit. The slowest piece takes some tenths of a second
 * on a PC: names that are looked for in 200 nested functions, or strings that are chosen
 * to have the same hash. One kind takes 2 s: a label that 32,000 gotos wait for, which is
 * as many as there may be. */
#define PIECE_BYTES 4096

enum { READER = 1, PART = 5 }; /* stack indices, as chunk_load_parts says */

struct text {
    const char *rest;
    size_t len;
};

static const char *next_piece(lua_State *L, void *arg, size_t *size)
{
    struct text *t = arg;
    limit_check(L);
    const char *piece = t->rest;
    *size = t->len < PIECE_BYTES ? t->len : PIECE_BYTES;
    t->rest += *size;
    t->len -= *size;
    return piece;
}

static const char *next_piece_of_parts(lua_State *L, void *arg, size_t *size)
{
    struct text *t = arg;
    if (t->len == 0) {
        luaL_checkstack(L, 2, "too many nested functions");
        lua_pushvalue(L, READER);
        lua_call(L, 0, 1);
        if (!lua_isnil(L, -1) && !lua_isstring(L, -1))
            luaL_error(L, "reader function must return a string");
        lua_replace(L, PART);
        t->rest = lua_tolstring(L, PART, &t->len);
    }
    return next_piece(L, t, size);
}

int chunk_load(lua_State *L, const char *text, size_t len, const char *name,
               const char *mode)
{
    struct text t = {text, len};
    return lua_load(L, next_piece, &t, name, mode);
}

int chunk_load_parts(lua_State *L, const char *name, const char *mode)
{
    struct text t = {NULL, 0};
    return lua_load(L, next_piece_of_parts, &t, name, mode);
}
