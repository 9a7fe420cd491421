/* lf.render, which fills templates, and lf.watch. They run in the thread that owns the
 * state. The registry has the compiled templates of the state by their path; as the files
 * are sources of the state, an edit renews both. */
#include "lua/template_api.h"

#include "http/html.h"
#include "lua/chunk.h"
#include "lua/limit.h"
#include "lua/scratch.h"
#include "lua/state.h"
#include "lua/template.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

#define CACHE "luafcgid2.templates"
#define PIECE 16384 /* bytes of work between two looks at the limit */

/* -- Compiling -- */

/* Pushes the content of a file, which becomes a source of the state. */
static void push_content(lua_State *L, const char *path)
{
    struct buffer *text = scratch_push(L);
    int error = state_read_file(L, path, text);
    if (error == ENOENT)
        state_note_absent(L, path);
    if (error != 0)
        luaL_error(L, "cannot open template %s: %s", path, strerror(error));
    scratch_result(L, text);
    lua_remove(L, -2);
}

static void compile(lua_State *L, const char *path)
{
    size_t len;
    push_content(L, path);
    const char *text = lua_tolstring(L, -1, &len);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        len -= 3;
    }
    struct buffer *code = scratch_push(L);
    int line = template_translate(L, text, len, code);
    if (line != 0) { /* without the place of the call */
        lua_pushfstring(L, "%s:%d: <%% without %%>", path, line);
        lua_error(L);
    }
    lua_pushfstring(L, "@%s", path);
    if (chunk_load(L, code->data, code->len, lua_tostring(L, -1), "t") != LUA_OK)
        lua_error(L);
    buffer_free(code);
    lua_replace(L, -4);
    lua_pop(L, 2);
}

/* Pushes the compiled template of the file whose path is at `index`. */
static void push_template(lua_State *L, int index)
{
    luaL_getsubtable(L, LUA_REGISTRYINDEX, CACHE);
    lua_pushvalue(L, index);
    if (lua_rawget(L, -2) == LUA_TNIL) {
        lua_pop(L, 1);
        compile(L, lua_tostring(L, index));
        lua_pushvalue(L, index);
        lua_pushvalue(L, -2);
        lua_rawset(L, -4);
    }
    lua_remove(L, -2);
}

/* -- What templates call: the first upvalue is the output -- */

static struct buffer *output_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static void append(lua_State *L, struct buffer *out, const char *s, size_t len)
{
    limit_check_memory(L, buffer_append(out, s, len));
}

static void append_literal(lua_State *L, struct buffer *out)
{
    size_t len;
    const char *s = lua_tolstring(L, 1, &len);
    if (s != NULL)
        append(L, out, s, len);
}

/* Pages have many of them, and a string of Lua's for each would cost more than all else
 * that is done here. Nothing in them is to be escaped. */
static void append_integer(lua_State *L, struct buffer *out, lua_Integer n)
{
    char digits[24], *end = digits + sizeof digits, *s = end;
    lua_Unsigned left = n < 0 ? 0u - (lua_Unsigned)n : (lua_Unsigned)n;
    do {
        *--s = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (n < 0)
        *--s = '-';
    append(L, out, s, (size_t)(end - s));
}

/* The value as text; NULL: nil, which is nothing. */
static const char *value_text(lua_State *L, size_t *len)
{
    if (lua_isnoneornil(L, 2))
        return NULL;
    return lua_isstring(L, 2) ? lua_tolstring(L, 2, len) : luaL_tolstring(L, 2, len);
}

static int put_raw(lua_State *L)
{
    struct buffer *out = output_of(L);
    size_t len;
    append_literal(L, out);
    if (lua_isinteger(L, 2)) {
        append_integer(L, out, lua_tointeger(L, 2));
        return 0;
    }
    const char *s = value_text(L, &len);
    if (s != NULL)
        append(L, out, s, len);
    return 0;
}

static int put_escaped(lua_State *L)
{
    struct buffer *out = output_of(L);
    size_t len;
    append_literal(L, out);
    if (lua_isinteger(L, 2)) {
        append_integer(L, out, lua_tointeger(L, 2));
        return 0;
    }
    const char *s = value_text(L, &len);
    for (size_t i = 0; s != NULL && i < len; i += PIECE) {
        limit_check_memory(L, html_escape(out, s + i, len - i < PIECE ? len - i : PIECE));
        limit_check(L);
    }
    return 0;
}

/* -- The environment: data's fields, then the globals -- */

/* For data with a metatable, whose fields are not all its own. */
static int look_up(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_gettable(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return 1;
    lua_pushglobaltable(L);
    lua_pushvalue(L, 2);
    lua_gettable(L, -2);
    return 1;
}

/* Copies the fields of the table at `index` into that on top. */
static void copy_fields(lua_State *L, int index)
{
    lua_pushnil(L);
    for (size_t i = 1; lua_next(L, index) != 0; i++) {
        if (i % 1024 == 0)
            limit_check(L);
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, -4);
    }
}

/* Pushes a table for a template whose data is at `index`. A template may set globals:
 * they are its own. */
static void push_environment(lua_State *L, int index)
{
    lua_newtable(L);
    lua_createtable(L, 0, 1);
    if (!lua_isnoneornil(L, index) && lua_getmetatable(L, index)) {
        lua_pop(L, 1);
        lua_pushvalue(L, index);
        lua_pushcclosure(L, look_up, 1);
    } else {
        lua_pushglobaltable(L);
    }
    lua_setfield(L, -2, "__index");
    if (!lua_isnoneornil(L, index)) {
        lua_insert(L, -2);
        copy_fields(L, index);
        lua_insert(L, -2);
    }
    lua_setmetatable(L, -2);
}

/* -- Calling -- */

static int include(lua_State *L);

/* Pushes the template whose path is at `path`, and what it is called with: the
 * environment at `environment`, and functions that put into the output at `output`. */
static void push_call(lua_State *L, int path, int environment, int output)
{
    const char *name = lua_tostring(L, path), *slash = strrchr(name, '/');
    push_template(L, path);
    lua_pushvalue(L, environment);
    lua_pushvalue(L, output);
    lua_pushcclosure(L, put_escaped, 1);
    lua_pushvalue(L, output);
    lua_pushcclosure(L, put_raw, 1);
    lua_pushvalue(L, output);
    lua_pushvalue(L, environment);
    lua_pushlstring(L, name, slash == NULL ? 0 : (size_t)(slash - name) + 1);
    lua_pushcclosure(L, include, 3);
}

static int included(lua_State *L, int status, lua_KContext context)
{
    (void)L;
    (void)status;
    (void)context;
    return 0;
}

static void check_data(lua_State *L, int index)
{
    if (!lua_isnil(L, index))
        luaL_checktype(L, index, LUA_TTABLE);
}

/* include(path[, data]) in a template; relative to the file that it is in. Without data
 * it sees what that one sees. */
static int include(lua_State *L)
{
    const char *name = state_check_path(L, 1);
    lua_settop(L, 2);
    check_data(L, 2);
    if (name[0] == '/')
        lua_pushvalue(L, 1);
    else
        lua_pushfstring(L, "%s%s", lua_tostring(L, lua_upvalueindex(3)), name);
    if (lua_isnil(L, 2))
        lua_pushvalue(L, lua_upvalueindex(2));
    else
        push_environment(L, 2);
    lua_pushvalue(L, lua_upvalueindex(1));
    push_call(L, 3, 4, 5);
    lua_callk(L, 4, 0, 0, included);
    return 0;
}

static int rendered(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    return scratch_result(L, lua_touserdata(L, (int)context));
}

static int render(lua_State *L, int first)
{
    state_check_path(L, first);
    lua_settop(L, first + 1);
    check_data(L, first + 1);
    scratch_push(L);
    push_environment(L, first + 1);
    push_call(L, first, first + 3, first + 2);
    lua_callk(L, 4, 0, first + 2, rendered);
    return rendered(L, LUA_OK, first + 2);
}

/* -- lf.watch -- */

static int watch(lua_State *L, int first)
{
    const char *path = state_check_path(L, first);
    struct buffer *text = scratch_push(L);
    int error = state_read_file(L, path, text);
    buffer_free(text);
    if (error == ENOENT)
        state_note_absent(L, path);
    else if (error != 0)
        return luaL_error(L, "cannot watch %s: %s", path, strerror(error));
    lua_pushboolean(L, error == 0);
    return 1;
}

static const struct facility_row rows[] = {
    {"render", NULL, render},
    {"watch", NULL, watch},
    {0},
};

const struct facility template_api = {.table = "lf", .rows = rows};
