/* lf's functions that write bytes in other characters: for HTML, for JavaScript, in
 * base64, in hexadecimal digits. They run in the thread that owns the state, and keep
 * nothing. Each works piece by piece, and looks at the limits after a piece. */
#include "lua/encode_api.h"

#include "base/base64.h"
#include "http/html.h"
#include "lua/limit.h"

#include <lauxlib.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define PIECE 3072 /* bytes; a multiple of three, for base64 */

/* -- Escaping: `escape` gives what stands for the character at `s`, or NULL -- */

typedef const char *(*escape_function)(const char *s, const char *end, char room[8],
                                       size_t *taken);

static const char *escape_html(const char *s, const char *end, char room[8],
                               size_t *taken)
{
    (void)end;
    (void)room;
    *taken = 1;
    return html_entity(*s);
}

/* Whatever could end the string, or the script element, or begin a comment of HTML in it.
 * U+2028 and U+2029 are line ends to JavaScript before 2019. */
static const char *escape_script(const char *s, const char *end, char room[8],
                                 size_t *taken)
{
    unsigned char c = (unsigned char)*s;
    *taken = 1;
    if (c == 0xe2 && end - s >= 3 && s[1] == '\x80' && (s[2] & ~1) == '\xa8') {
        *taken = 3;
        return s[2] == '\xa8' ? "\\u2028" : "\\u2029";
    }
    if (c >= 0x20 && c != 0x7f && (c >= 0x80 || strchr("\\'\"`<>&$/=-", c) == NULL))
        return NULL;
    snprintf(room, 8, "\\u%04x", c);
    return room;
}

/* A text without anything to escape is its own result, and is not copied. */
static int escape(lua_State *L, int first, escape_function function)
{
    size_t len, taken;
    const char *s = luaL_checklstring(L, first, &len);
    const char *end = s + len, *done = s, *look = s + PIECE;
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (const char *p = s; p < end; p += taken) {
        char room[8];
        const char *escaped = function(p, end, room, &taken);
        if (p >= look) {
            limit_check(L);
            look = p + PIECE;
        }
        if (escaped == NULL)
            continue;
        luaL_addlstring(&b, done, (size_t)(p - done));
        luaL_addstring(&b, escaped);
        done = p + taken;
    }
    if (done == s) {
        lua_pushvalue(L, first);
        return 1;
    }
    luaL_addlstring(&b, done, (size_t)(end - done));
    luaL_pushresult(&b);
    return 1;
}

static int escape_for_html(lua_State *L, int first)
{
    return escape(L, first, escape_html);
}

static int escape_for_script(lua_State *L, int first)
{
    return escape(L, first, escape_script);
}

/* -- Base64 -- */

static int encode(lua_State *L, int first, bool url)
{
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (len > 0) {
        size_t n = len < PIECE ? len : PIECE;
        char *room = luaL_prepbuffsize(&b, BASE64_SIZE(n));
        luaL_addsize(&b, base64_encode(room, s, n, url));
        s += n;
        len -= n;
        limit_check(L);
    }
    luaL_pushresult(&b);
    return 1;
}

static int base64(lua_State *L, int first)
{
    return encode(L, first, false);
}

static int base64url(lua_State *L, int first)
{
    return encode(L, first, true);
}

/* What a client sent may be anything, so that it is no base64 is no error. */
static int bad_text(lua_State *L, const char *what)
{
    lua_pushnil(L);
    lua_pushfstring(L, "not %s", what);
    return 2;
}

static int unbase64(lua_State *L, int first)
{
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
    struct base64 state = {0};
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (len > 0) {
        size_t n = len < PIECE ? len : PIECE;
        size_t decoded = base64_decode(&state, luaL_prepbuffsize(&b, PIECE), s, n);
        if (decoded == SIZE_MAX)
            return bad_text(L, "base64");
        luaL_addsize(&b, decoded);
        s += n;
        len -= n;
        limit_check(L);
    }
    if (!base64_is_whole(&state))
        return bad_text(L, "base64");
    luaL_pushresult(&b);
    return 1;
}

/* -- Hexadecimal digits -- */

static int hex(lua_State *L, int first)
{
    static const char digits[] = "0123456789abcdef";
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < len; i++) {
        if (i % PIECE == PIECE - 1)
            limit_check(L);
        luaL_addchar(&b, digits[(unsigned char)s[i] >> 4]);
        luaL_addchar(&b, digits[(unsigned char)s[i] & 15]);
    }
    luaL_pushresult(&b);
    return 1;
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    const char *found = c == '\0' ? NULL : strchr(digits, c);
    if (found == NULL)
        return -1;
    int value = (int)(found - digits);
    return value < 16 ? value : value - 6;
}

static int unhex(lua_State *L, int first)
{
    size_t len;
    const char *s = luaL_checklstring(L, first, &len);
    if (len % 2 != 0)
        return bad_text(L, "hexadecimal");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < len; i += 2) {
        int high = digit(s[i]), low = digit(s[i + 1]);
        if (i % PIECE == 0)
            limit_check(L);
        if (high < 0 || low < 0)
            return bad_text(L, "hexadecimal");
        luaL_addchar(&b, (char)(high << 4 | low));
    }
    luaL_pushresult(&b);
    return 1;
}

static const struct facility_row rows[] = {
    {"escape", NULL, escape_for_html},
    {"escape_js", NULL, escape_for_script},
    {"base64", NULL, base64},
    {"base64url", NULL, base64url},
    {"unbase64", NULL, unbase64},
    {"hex", NULL, hex},
    {"unhex", NULL, unhex},
    {0},
};

const struct facility encode_api = {.table = "lf", .rows = rows};
