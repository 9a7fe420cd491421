/* Random numbers: xoshiro256**, by Blackman and Vigna. Runs in the thread that owns the
 * state; the generator is an upvalue of the two functions. */
#include "lua/random.h"

#include "base/clock.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

struct random {
    uint64_t s[4];
};

static uint64_t rotate(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t next(struct random *r)
{
    uint64_t *s = r->s, result = rotate(s[1] * 5, 7) * 9, shifted = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= shifted;
    s[3] = rotate(s[3], 45);
    return result;
}

/* Without `given` the seed comes from the system. */
static void seed(struct random *r, const uint64_t *given)
{
    if (given == NULL && getentropy(r->s, sizeof r->s) == 0)
        return;
    uint64_t x = given == NULL ? (uint64_t)(uintptr_t)r ^ clock_ticks() : *given;
    for (int i = 0; i < 4; i++) { /* splitmix64 gives no four zeros */
        uint64_t z = x += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        r->s[i] = z ^ (z >> 31);
    }
}

/* Returns a number from 0 to `range`, each equally likely: those below 2^64 mod
 * (range + 1) would make some likelier, so they are drawn again. */
static uint64_t below(struct random *r, uint64_t range)
{
    if (range == UINT64_MAX)
        return next(r);
    uint64_t count = range + 1, odd = (UINT64_MAX - count + 1) % count, x;
    do
        x = next(r);
    while (x < odd);
    return x % count;
}

static int math_random(lua_State *L)
{
    struct random *r = lua_touserdata(L, lua_upvalueindex(1));
    int count = lua_gettop(L);
    if (count == 0) {
        lua_pushnumber(L, (lua_Number)(next(r) >> 11) * 0x1p-53);
        return 1;
    }
    if (count > 2)
        return luaL_error(L, "wrong number of arguments");
    lua_Integer low = count == 1 ? 1 : luaL_checkinteger(L, 1);
    lua_Integer high = luaL_checkinteger(L, count);
    luaL_argcheck(L, low <= high, count, "interval is empty");
    uint64_t x = below(r, (uint64_t)high - (uint64_t)low);
    lua_pushinteger(L, (lua_Integer)((uint64_t)low + x));
    return 1;
}

static int math_randomseed(lua_State *L)
{
    struct random *r = lua_touserdata(L, lua_upvalueindex(1));
    if (lua_isnoneornil(L, 1)) {
        seed(r, NULL);
        return 0;
    }
    lua_Number number = luaL_checknumber(L, 1);
    uint64_t bits;
    memcpy(&bits, &number, sizeof bits);
    seed(r, &bits);
    return 0;
}

void random_open(lua_State *L)
{
    lua_getglobal(L, LUA_MATHLIBNAME);
    seed(lua_newuserdata(L, sizeof(struct random)), NULL);
    lua_pushvalue(L, -1);
    lua_pushcclosure(L, math_random, 1);
    lua_setfield(L, -3, "random");
    lua_pushcclosure(L, math_randomseed, 1);
    lua_setfield(L, -2, "randomseed");
    lua_pop(L, 1);
}
