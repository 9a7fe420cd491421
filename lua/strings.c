/* find, match, gmatch, gsub and rep. They run in the thread that owns the state, and keep
 * nothing. */
#include "lua/strings.h"

#include "lua/guard.h"
#include "lua/pattern.h"

#include <ctype.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <string.h>

/* What a search is given: arguments 1 and 2. */
struct arguments {
    const char *s, *p; /* subject, pattern */
    size_t s_len, p_len;
};

static struct arguments check_arguments(lua_State *L)
{
    struct arguments a;
    a.s = luaL_checklstring(L, 1, &a.s_len);
    a.p = luaL_checklstring(L, 2, &a.p_len);
    return a;
}

static void begin(struct pattern *m, lua_State *L, const struct arguments *a,
                  guard_look look)
{
    pattern_begin(m, L, look, a->s, a->s_len, a->p, a->p_len);
}

/* Takes a `^` off the front of the pattern. */
static bool take_anchor(struct arguments *a)
{
    bool anchored = a->p_len > 0 && *a->p == '^';
    a->p += anchored;
    a->p_len -= anchored;
    return anchored;
}

/* -- find and match -- */

static bool is_plain(const struct arguments *a)
{
    static const char special[] = "^$*+?.([%-";
    for (size_t i = 0; i < a->p_len; i++)
        if (a->p[i] != '\0' && strchr(special, a->p[i]) != NULL)
            return false;
    return true;
}

/* Where the search begins, counted from 0. false: behind the subject. */
static bool get_start(lua_State *L, size_t len, size_t *start)
{
    lua_Integer init = luaL_optinteger(L, 3, 1);
    if (init < 0)
        init = init < -(lua_Integer)len ? 1 : (lua_Integer)len + init + 1;
    if (init < 1)
        init = 1;
    *start = (size_t)init - 1;
    return *start <= len;
}

static int push_range(lua_State *L, const char *subject, const char *from, const char *to)
{
    lua_pushinteger(L, from - subject + 1);
    lua_pushinteger(L, to - subject);
    return 2;
}

/* memmem(3) takes a time that is linear in both lengths. */
static int find_plain(lua_State *L, const struct arguments *a, size_t start)
{
    const char *at = memmem(a->s + start, a->s_len - start, a->p, a->p_len);
    if (at != NULL)
        return push_range(L, a->s, at, at + a->p_len);
    lua_pushnil(L);
    return 1;
}

static int search(lua_State *L, bool find)
{
    struct arguments a = check_arguments(L);
    size_t start;
    if (!get_start(L, a.s_len, &start)) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || is_plain(&a)))
        return find_plain(L, &a, start);
    bool anchored = take_anchor(&a);
    struct pattern m;
    begin(&m, L, &a, guard_check(L, GUARD_OF_HOOKS));
    for (const char *s = a.s + start; s <= m.subject_end; s++) {
        const char *e = pattern_match(&m, s, a.p);
        if (e != NULL && find)
            return push_range(L, a.s, s, e) + pattern_push_captures(&m, NULL, NULL);
        if (e != NULL)
            return pattern_push_captures(&m, s, e);
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int string_find(lua_State *L)
{
    return search(L, true);
}

static int string_match(lua_State *L)
{
    return search(L, false);
}

/* -- gmatch -- */

/* Upvalues of the iterator. */
enum {
    SUBJECT = 1,
    PATTERN,
    NEXT /* where to go on */,
    LAST /* end of the last match */,
    OF_HOOKS /* for guard_check */
};

static const char *string_upvalue(lua_State *L, int n, size_t *len)
{
    return lua_tolstring(L, lua_upvalueindex(n), len);
}

static void set_upvalue(lua_State *L, int n, lua_Integer value)
{
    lua_pushinteger(L, value);
    lua_replace(L, lua_upvalueindex(n));
}

/* A match must not be empty where the last one ended. */
static int next_match(lua_State *L)
{
    struct arguments a;
    a.s = string_upvalue(L, SUBJECT, &a.s_len);
    a.p = string_upvalue(L, PATTERN, &a.p_len);
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(LAST));
    struct pattern m;
    begin(&m, L, &a, guard_check(L, OF_HOOKS));
    const char *s = a.s + lua_tointeger(L, lua_upvalueindex(NEXT));
    for (; s <= m.subject_end; s++) {
        const char *e = pattern_match(&m, s, a.p);
        if (e == NULL || e - a.s == last)
            continue;
        set_upvalue(L, NEXT, e - a.s);
        set_upvalue(L, LAST, e - a.s);
        return pattern_push_captures(&m, s, e);
    }
    return 0;
}

static int string_gmatch(lua_State *L)
{
    check_arguments(L);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushinteger(L, -1);
    lua_pushvalue(L, lua_upvalueindex(GUARD_OF_HOOKS));
    lua_pushcclosure(L, next_match, OF_HOOKS);
    return 1;
}

/* -- gsub -- */

/* Adds argument 3, a text in which %0 to %9 stand for captures. */
static void add_text(struct pattern *m, luaL_Buffer *b, const char *s, const char *e)
{
    lua_State *L = m->L;
    size_t len;
    const char *text = lua_tolstring(L, 3, &len), *end = text + len;
    while (text < end) {
        const char *escape = memchr(text, '%', (size_t)(end - text));
        luaL_addlstring(b, text, (size_t)((escape == NULL ? end : escape) - text));
        if (escape == NULL)
            return;
        char c = escape[1];
        text = escape + 2;
        if (c == '%') {
            luaL_addchar(b, c);
        } else if (c == '0') {
            luaL_addlstring(b, s, (size_t)(e - s));
        } else if (isdigit((unsigned char)c)) {
            pattern_push_capture(m, c - '1', s, e);
            luaL_tolstring(L, -1, NULL); /* a position is a number */
            lua_remove(L, -2);
            luaL_addvalue(b);
        } else {
            luaL_error(L, "invalid use of '%%' in replacement string");
        }
    }
}

/* Adds what a function or a table gives for the match. */
static void add_value(struct pattern *m, luaL_Buffer *b, const char *s, const char *e)
{
    lua_State *L = m->L;
    if (lua_isfunction(L, 3)) {
        lua_pushvalue(L, 3);
        lua_call(L, pattern_push_captures(m, s, e), 1);
    } else {
        pattern_push_capture(m, 0, s, e);
        lua_gettable(L, 3);
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        lua_pushlstring(L, s, (size_t)(e - s));
    } else if (!lua_isstring(L, -1)) {
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    }
    luaL_addvalue(b);
}

static int string_gsub(lua_State *L)
{
    struct arguments a = check_arguments(L);
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)a.s_len + 1), count = 0;
    luaL_argcheck(L,
                  type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION ||
                      type == LUA_TTABLE,
                  3, "string/function/table expected");
    bool anchored = take_anchor(&a), is_text = lua_isstring(L, 3);
    struct pattern m;
    begin(&m, L, &a, guard_check(L, GUARD_OF_HOOKS));
    const char *s = a.s, *last = NULL; /* the end of the last match */
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    while (count < most) {
        const char *e = pattern_match(&m, s, a.p);
        if (e != NULL && e != last) {
            count++;
            (is_text ? add_text : add_value)(&m, &b, s, e);
            s = last = e;
        } else if (s < m.subject_end) {
            luaL_addchar(&b, *s++);
        } else {
            break;
        }
        if (anchored)
            break;
    }
    luaL_addlstring(&b, s, (size_t)(m.subject_end - s));
    luaL_pushresult(&b);
    lua_pushinteger(L, count);
    return 2;
}

/* -- rep -- */

/* The library's own counts to n even when there is nothing to repeat. */
static int string_rep(lua_State *L)
{
    size_t len, separator_len;
    luaL_checklstring(L, 1, &len);
    luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &separator_len);
    if (len + separator_len > 0)
        return guard_original(L);
    lua_pushliteral(L, "");
    return 1;
}

static const struct guard_row rows[] = {
    {LUA_STRLIBNAME, "find", string_find},     {LUA_STRLIBNAME, "match", string_match},
    {LUA_STRLIBNAME, "gmatch", string_gmatch}, {LUA_STRLIBNAME, "gsub", string_gsub},
    {LUA_STRLIBNAME, "rep", string_rep},       {0},
};

void strings_open(lua_State *L)
{
    guard_replace_all(L, rows);
}

void strings_open_for_hooks(lua_State *L)
{
    guard_replace_all_for_hooks(L, rows);
}
