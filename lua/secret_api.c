/* lf's functions for secrets: hashes, random bytes, comparing. They run in the thread
 * that owns the state, and keep nothing. */
#include "lua/secret_api.h"

#include "base/base64.h"
#include "base/random.h"
#include "base/sha256.h"
#include "lua/limit.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#define PIECE       16384 /* bytes that are hashed between two looks at the limit */
#define RANDOM_MAX  1048576
#define TOKEN_BYTES 24 /* 192 bits, 32 characters */
#define TOKEN_MAX   192

static int sha256_of(lua_State *L, int first)
{
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
    unsigned char hash[SHA256_SIZE];
    struct sha256 h;
    sha256_init(&h);
    for (size_t i = 0; i < len; i += PIECE) {
        sha256_update(&h, s + i, len - i < PIECE ? len - i : PIECE);
        limit_check(L);
    }
    sha256_final(&h, hash);
    lua_pushlstring(L, (const char *)hash, sizeof hash);
    return 1;
}

static int hmac_sha256(lua_State *L, int first)
{
    size_t key_len, len;
    const char *key = luaL_checklstring(L, first, &key_len);
    const char *s = luaL_checklstring(L, first + 1, &len);
    unsigned char hash[SHA256_SIZE];
    struct hmac h;
    sha256_hmac_init(&h, key, key_len);
    for (size_t i = 0; i < len; i += PIECE) {
        sha256_hmac_update(&h, s + i, len - i < PIECE ? len - i : PIECE);
        limit_check(L);
    }
    sha256_hmac_final(&h, hash);
    lua_pushlstring(L, (const char *)hash, sizeof hash);
    return 1;
}

/* -- Random -- */

/* 256 bytes at most. */
static void fill(lua_State *L, char *data, size_t len)
{
    if (!random_bytes(data, len))
        luaL_error(L, "no random bytes: %s", strerror(errno));
}

static int random_string(lua_State *L, int first)
{
    lua_Integer n = luaL_checkinteger(L, first);
    luaL_argcheck(L, n >= 0 && n <= RANDOM_MAX, first, "0 to 1048576 bytes expected");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (n > 0) {
        size_t part = n < 256 ? (size_t)n : 256;
        fill(L, luaL_prepbuffsize(&b, part), part);
        luaL_addsize(&b, part);
        n -= (lua_Integer)part;
        limit_check(L);
    }
    luaL_pushresult(&b);
    return 1;
}

static int token(lua_State *L, int first)
{
    lua_Integer n = luaL_optinteger(L, first, TOKEN_BYTES);
    luaL_argcheck(L, n > 0 && n <= TOKEN_MAX, first, "1 to 192 bytes expected");
    char bytes[TOKEN_MAX], text[BASE64_SIZE(TOKEN_MAX)];
    fill(L, bytes, (size_t)n);
    lua_pushlstring(L, text, base64_encode(text, bytes, (size_t)n, true));
    return 1;
}

/* -- Comparing -- */

/* Hides from the compiler what is in `x`, so that it cannot end the loop early. */
static unsigned char opaque(unsigned char x)
{
    volatile unsigned char same = x;
    return same;
}

static int equal(lua_State *L, int first)
{
    size_t a_len, b_len;
    const char *a = luaL_checklstring(L, first, &a_len);
    const char *b = luaL_checklstring(L, first + 1, &b_len);
    unsigned char different = 0;
    for (size_t i = 0; a_len == b_len && i < a_len; i++) {
        different = opaque((unsigned char)(different | (a[i] ^ b[i])));
        if (i % PIECE == PIECE - 1)
            limit_check(L);
    }
    lua_pushboolean(L, a_len == b_len && different == 0);
    return 1;
}

static const struct facility_row rows[] = {
    {"sha256", NULL, sha256_of},     {"hmac_sha256", NULL, hmac_sha256},
    {"random", NULL, random_string}, {"token", NULL, token},
    {"equal", NULL, equal},          {0},
};

const struct facility secret_api = {.table = "lf", .rows = rows};
