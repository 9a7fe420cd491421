/* Uploaded files as scripts see them. Runs in the thread that owns the state.
 *
 * An object holds numbers only, which tell the request and the file of its spool: debug
 * could give its methods to another userdata, and a pointer there would be anything. What
 * it says of itself is in a table, its user value. */
#include "lua/upload.h"

#include "config.h"
#include "lua/call.h"
#include "lua/handle.h"
#include "lua/limit.h"
#include "lua/state.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>
#include <unistd.h>

#define UPLOAD_TYPE "luafcgid2.file"
#define BLOCK       32768 /* bytes read at once */
#define NO_FILE     SIZE_MAX

struct upload {
    unsigned serial; /* of the request, lua/call.h */
    size_t number;   /* in the spool; NO_FILE: nothing has come yet */
};

/* -- The object -- */

static struct upload *check_upload(lua_State *L, int index)
{
    struct upload *u = luaL_checkudata(L, index, UPLOAD_TYPE);
    if (lua_rawlen(L, index) != sizeof *u || u->serial != call_serial(L))
        luaL_error(L, "this file belongs to a request that is over");
    return u;
}

static struct spool_file *file_of(lua_State *L, int index)
{
    struct upload *u = check_upload(L, index);
    struct spool_file *f = spool_file(&call_of(L)->spool, u->number);
    if (f == NULL)
        luaL_error(L, "there is no such file");
    return f;
}

static int fail_by_errno(lua_State *L, const char *path)
{
    return luaL_fileresult(L, 0, path);
}

static bool may_go_on(void *limit)
{
    return limit_broken(limit) == LIMIT_NONE;
}

/* file:save(path) */
static int save(lua_State *L)
{
    struct spool_file *f = file_of(L, 1);
    const char *path = state_push_path(L, state_check_path(L, 2));
    if (f->kept) {
        lua_pushnil(L);
        lua_pushfstring(L, "%s: the file was saved before, as %s", path, f->path.data);
        return 2;
    }
    bool spares = handle_make_room(L); /* it may collect, but no object is lost */
    bool ok = spares && spool_keep(f, path, may_go_on, limit_of(L));
    int error = errno;
    limit_check(L);
    errno = error;
    if (!ok)
        return fail_by_errno(L, path);
    lua_pushboolean(L, 1);
    return 1;
}

/* Pushes what is left of an open file, at most `max` bytes. Returns false with errno. */
static bool push_content(lua_State *L, int fd, size_t max)
{
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    size_t total = 0;
    ssize_t n = 1;
    while (n > 0 && total < max) {
        size_t step = max - total < BLOCK ? max - total : BLOCK;
        limit_check(L);
        do
            n = read(fd, luaL_prepbuffsize(&b, step), step);
        while (n < 0 && errno == EINTR);
        if (n > 0) {
            luaL_addsize(&b, (size_t)n);
            total += (size_t)n;
        }
    }
    int error = errno;
    luaL_pushresult(&b);
    errno = error;
    return n >= 0;
}

/* file:read([n]): what is left, or at most n bytes; then nil at the end. */
static int read_some(lua_State *L)
{
    struct spool_file *f = file_of(L, 1);
    bool all = lua_isnoneornil(L, 2);
    lua_Integer max = all ? LUA_MAXINTEGER : luaL_checkinteger(L, 2);
    luaL_argcheck(L, max >= 0, 2, "a number of bytes expected");
    size_t bound = (lua_Unsigned)max > SIZE_MAX ? SIZE_MAX : (size_t)max;
    if ((f->fd < 0 && !handle_make_room(L)) || !spool_open(f) ||
        !push_content(L, f->fd, bound))
        return fail_by_errno(L, f->path.data);
    if (lua_rawlen(L, -1) == 0 && max > 0 && !all)
        lua_pushnil(L);
    return 1;
}

/* The upvalue is the table of methods. */
static int get_field(lua_State *L)
{
    luaL_checkudata(L, 1, UPLOAD_TYPE);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        return 1;
    if (lua_getuservalue(L, 1) != LUA_TTABLE)
        return 0;
    lua_pushvalue(L, 2);
    lua_rawget(L, -2);
    return 1;
}

static void push_metatable(lua_State *L)
{
    static const luaL_Reg methods[] = {{"read", read_some}, {"save", save}, {NULL, NULL}};
    if (!luaL_newmetatable(L, UPLOAD_TYPE))
        return;
    luaL_newlib(L, methods);
    lua_pushcclosure(L, get_field, 1);
    lua_setfield(L, -2, "__index");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
}

/* -- While it comes -- */

void upload_push(lua_State *L, const struct multipart_part *part)
{
    static const char unknown[] = "application/octet-stream";
    struct upload *u = lua_newuserdata(L, sizeof *u);
    *u = (struct upload){call_serial(L), NO_FILE};
    push_metatable(L);
    lua_setmetatable(L, -2);
    lua_createtable(L, 0, 3);
    lua_pushlstring(L, part->file, part->file_len);
    lua_setfield(L, -2, "name");
    if (part->type_len > 0)
        lua_pushlstring(L, part->type, part->type_len);
    else
        lua_pushstring(L, unknown);
    lua_setfield(L, -2, "type");
    lua_pushinteger(L, 0);
    lua_setfield(L, -2, "size");
    lua_setuservalue(L, -2);
}

/* The file of the object on top, which is made when there is none. NULL with errno. */
static struct spool_file *make_file(lua_State *L)
{
    struct upload *u = check_upload(L, -1);
    struct spool *spool = &call_of(L)->spool;
    if (u->number == NO_FILE) {
        int number = -1;
        if (handle_make_room(L))
            number = spool_add(spool, &limit_of(L)->outside,
                               state_config(state_of(L))->upload_dir);
        if (number < 0)
            return NULL;
        u->number = (size_t)number;
    }
    return file_of(L, -1);
}

bool upload_write(lua_State *L, const char *data, size_t len)
{
    struct spool_file *f = make_file(L);
    return f != NULL && spool_write(f, data, len);
}

bool upload_is_none(lua_State *L)
{
    lua_getuservalue(L, -1);
    lua_getfield(L, -1, "name");
    bool unnamed = lua_rawlen(L, -1) == 0;
    lua_pop(L, 2);
    return unnamed && check_upload(L, -1)->number == NO_FILE;
}

bool upload_finish(lua_State *L)
{
    struct spool_file *f = make_file(L);
    if (f == NULL)
        return false;
    spool_close(f);
    lua_getuservalue(L, -1);
    lua_pushinteger(L, f->size);
    lua_setfield(L, -2, "size");
    lua_pop(L, 1);
    return true;
}

void upload_push_error(lua_State *L)
{
    int error = errno;
    limit_check(L);
    lua_pushfstring(L, "an upload cannot be stored in %s: %s (UploadDir)",
                    state_config(state_of(L))->upload_dir, strerror(error));
}
