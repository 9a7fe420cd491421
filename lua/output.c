/* The standard output of scripts is the log. Runs in the thread that owns the state,
 * which keeps the line that is not finished yet (state_output). */
#include "lua/output.h"

#include "base/buffer.h"
#include "base/log.h"
#include "lua/guard.h"
#include "lua/state.h"

#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES 4096 /* of a line; the rest of a longer one is dropped */

static void output(lua_State *L, const char *text, size_t len)
{
    struct buffer *line = state_output(state_of(L));
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t part = end == NULL ? len : (size_t)(end - text);
        size_t room = LINE_MAX_BYTES - line->len;
        if (!buffer_append(line, text, part < room ? part : room))
            return;
        if (end != NULL) {
            log_text(LOG_LEVEL_INFO, line->data == NULL ? "" : line->data, line->len);
            line->len = 0;
            part++;
        }
        text += part;
        len -= part;
    }
}

static int base_print(lua_State *L)
{
    int count = lua_gettop(L);
    for (int i = 1; i <= count; i++) {
        size_t len;
        const char *text = luaL_tolstring(L, i, &len);
        if (i > 1)
            output(L, "\t", 1);
        output(L, text, len);
        lua_pop(L, 1);
    }
    output(L, "\n", 1);
    return 0;
}

static bool is_standard(const luaL_Stream *stream)
{
    return stream->closef != NULL && (stream->f == stdout || stream->f == stderr);
}

/* Writes arguments `first` ... to the log. */
static void output_arguments(lua_State *L, int first)
{
    for (int i = first; i <= lua_gettop(L); i++) {
        size_t len;
        const char *text = luaL_checklstring(L, i, &len);
        output(L, text, len);
    }
}

static int io_write(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_IO_output"); /* liolib keeps its file there */
    luaL_Stream *stream = luaL_testudata(L, -1, LUA_FILEHANDLE);
    if (stream == NULL || !is_standard(stream)) {
        lua_pop(L, 1);
        return guard_original(L);
    }
    lua_insert(L, 1);
    output_arguments(L, 2);
    lua_settop(L, 1);
    return 1;
}

static int file_write(lua_State *L)
{
    luaL_Stream *stream = luaL_checkudata(L, 1, LUA_FILEHANDLE);
    if (!is_standard(stream))
        return guard_original(L);
    output_arguments(L, 2);
    lua_settop(L, 1);
    return 1;
}

void output_open(lua_State *L)
{
    static const struct guard_row rows[] = {
        {"_G", "print", base_print},
        {LUA_IOLIBNAME, "write", io_write},
        {0},
    };
    guard_replace_all(L, rows);
    luaL_getmetatable(L, LUA_FILEHANDLE); /* __index of this table is the table itself */
    guard_replace(L, "write", file_write);
    lua_pop(L, 1);
}
