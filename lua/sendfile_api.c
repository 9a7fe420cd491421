/* SendFile: a file as the response, whole or in part, or handed on to the web server.
 * Runs in the thread that owns the state. The open file belongs to Lua, as one of io.open
 * does, so an error leaks nothing. */
#include "lua/sendfile_api.h"

#include "base/ascii.h"
#include "http/condition.h"
#include "http/date.h"
#include "http/mime.h"
#include "lua/call.h"
#include "lua/handle.h"
#include "lua/limit.h"
#include "lua/pace.h"
#include "lua/refusal.h"
#include "lua/response_api.h"
#include "lua/scratch.h"
#include "lua/state.h"

#include <errno.h>
#include <lauxlib.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PIECE_BYTES 16384
#define WHOLE_BYTES (256 * 1024) /* of a file that need not be streamed */

/* -- Options -- */

struct options {
    const char *type, *name; /* NULL: not given */
    int is_inline;           /* -1: not given */
    lua_Integer max_age;     /* seconds; -1: not given */
};

static const char *string_option(lua_State *L, const char *name)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "SendFile: option %s: a string expected, got a %s", name,
                   luaL_typename(L, -1));
    return lua_tostring(L, -1);
}

static void read_option(lua_State *L, struct options *o)
{
    const char *name = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : "";
    if (strcmp(name, "type") == 0) {
        o->type = string_option(L, name);
    } else if (strcmp(name, "name") == 0) {
        o->name = string_option(L, name);
    } else if (strcmp(name, "inline") == 0 && lua_isboolean(L, -1)) {
        o->is_inline = lua_toboolean(L, -1);
    } else if (strcmp(name, "maxage") == 0) {
        int ok = 0;
        o->max_age = lua_tointegerx(L, -1, &ok);
        if (!ok || o->max_age < 0)
            luaL_error(L, "SendFile: option maxage: a number of seconds expected");
    } else if (strcmp(name, "inline") == 0) {
        luaL_error(L, "SendFile: option inline: true or false expected");
    } else {
        luaL_error(L, "SendFile: there is no option '%s'", luaL_tolstring(L, -2, NULL));
    }
}

/* The strings stay in the script's table. */
static struct options read_options(lua_State *L, int index)
{
    struct options o = {.is_inline = -1, .max_age = -1};
    if (lua_isnoneornil(L, index))
        return o;
    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        limit_check(L);
        read_option(L, &o);
        lua_pop(L, 1);
    }
    return o;
}

/* -- Headers -- */

static void set(lua_State *L, const char *name, const char *value)
{
    response_api_set_header(L, name, value, strlen(value));
}

static bool put_encoded(struct buffer *b, const char *s, const char *plain)
{
    bool ok = true;
    for (; *s != '\0' && ok; s++)
        ok = ascii_is_alnum(*s) || strchr(plain, *s) != NULL
                 ? buffer_append(b, s, 1)
                 : buffer_printf(b, "%%%02X", (unsigned)(unsigned char)*s);
    return ok;
}

static bool put_quoted(struct buffer *b, const char *s)
{
    bool ok = true;
    for (; *s != '\0' && ok; s++)
        ok = (unsigned char)*s < 0x20 || (unsigned char)*s >= 0x7f || *s == '"' ||
                     *s == '\\' || *s == '%'
                 ? buffer_append(b, "_", 1)
                 : buffer_append(b, s, 1);
    return ok;
}

/* Content-Disposition (RFC 6266): the name in ASCII, and as it is for all browsers of
 * today. */
static void set_disposition(lua_State *L, const struct options *o, const char *path)
{
    if (o->name == NULL && o->is_inline < 0)
        return;
    const char *slash = strrchr(path, '/');
    const char *name = o->name != NULL ? o->name : slash == NULL ? path : slash + 1;
    struct buffer *b = scratch_push(L);
    limit_check_memory(L, buffer_puts(b, o->is_inline > 0 ? "inline; filename=\""
                                                          : "attachment; filename=\"") &&
                              put_quoted(b, name) &&
                              buffer_puts(b, "\"; filename*=UTF-8''") &&
                              put_encoded(b, name, "!#$&+-.^_`|~"));
    response_api_set_header(L, "Content-Disposition", b->data, b->len);
    lua_pop(L, 1);
}

/* Texts are in UTF-8 unless the option says something else; HTML says it itself. */
static void set_type(lua_State *L, const struct options *o, const char *path)
{
    const char *type = o->type != NULL ? o->type : mime_type(path, strlen(path));
    bool is_text = o->type == NULL && strncmp(type, "text/", 5) == 0 &&
                   strcmp(type, "text/html") != 0;
    set(L, "Content-Type",
        is_text ? lua_pushfstring(L, "%s; charset=utf-8", type) : type);
    if (is_text)
        lua_pop(L, 1);
}

static void set_age(lua_State *L, const struct options *o)
{
    if (o->max_age < 0)
        return;
    set(L, "Cache-Control", lua_pushfstring(L, "max-age=%I", o->max_age));
    lua_pop(L, 1);
}

static void set_validators(lua_State *L, const struct condition_target *target)
{
    char date[DATE_SIZE];
    set(L, "ETag", target->etag);
    if (date_print(target->modified, date))
        set(L, "Last-Modified", date);
    set(L, "Accept-Ranges", "bytes");
}

static void set_status(lua_State *L, int status)
{
    char text[8];
    snprintf(text, sizeof text, "%d", status);
    request_set_status(call_of(L)->request, text, strlen(text));
}

/* -- Handing on -- */

/* Finds, in pairs "DIR=URI" separated by commas, the URI of the file at `path`, and
 * appends it. false: there is none, or no memory. */
static bool map(const char *pairs, const char *path, struct buffer *uri)
{
    for (const char *pair = pairs; *pair != '\0'; pair += *pair == ',') {
        pair += strspn(pair, " \t");
        size_t len = strcspn(pair, ","), dir = strcspn(pair, "=,");
        size_t plain = dir > 0 && pair[dir - 1] == '/' ? dir - 1 : dir;
        if (dir < len && strncmp(path, pair, plain) == 0 && path[plain] == '/') {
            const char *to = pair + dir + 1;
            size_t to_len = len - dir - 1;
            while (to_len > 0 && (to[to_len - 1] == '/' || to[to_len - 1] == ' '))
                to_len--;
            return buffer_append(uri, to, to_len) &&
                   put_encoded(uri, path + plain, "/-._~!$&'()*+,;=:@");
        }
        pair += len;
    }
    return false;
}

/* Whether the web server sends the file, as SendFileHeader says. */
static bool hand_on(lua_State *L, const char *path)
{
    const char *option = request_config(call_of(L)->request)->send_file_header;
    size_t name_len = strcspn(option, ":");
    if (name_len == 0)
        return false;
    struct buffer *value = scratch_push(L);
    char *real = realpath(path, NULL);
    bool ok =
        real != NULL && (option[name_len] == ':' ? map(option + name_len + 1, real, value)
                                                 : buffer_puts(value, real));
    free(real);
    if (ok) {
        lua_pushlstring(L, option, name_len);
        response_api_set_header(L, lua_tostring(L, -1), value->data, value->len);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return ok;
}

/* -- Sending -- */

static void end_short(lua_State *L, const char *why)
{
    luaL_error(L, "SendFile: the file ends early: %s", why);
}

/* What is sent lies on the stack: the file at index `file`, then the first byte and the
 * length of what is left, and whether all of it may go out at once. */
static int send_pieces(lua_State *L, int status, lua_KContext context)
{
    struct request *r = call_of(L)->request;
    int file = (int)context;
    const luaL_Stream *stream = lua_touserdata(L, file);
    lua_Integer first = lua_tointeger(L, file + 1), length = lua_tointeger(L, file + 2);
    bool streams = !lua_toboolean(L, file + 3);
    char piece[PIECE_BYTES];
    while (length > 0 && !request_is_gone(r)) {
        size_t n = length < PIECE_BYTES ? (size_t)length : PIECE_BYTES;
        ssize_t got = pread(fileno(stream->f), piece, n, (off_t)first);
        limit_check(L);
        if (got <= 0)
            end_short(L, got < 0 ? strerror(errno) : "it became shorter");
        limit_check_memory(L, request_append(r, piece, (size_t)got));
        first += got;
        length -= got;
        bool due = request_is_due(r) || (streams && !request_head_sent(r));
        if (due && !pace_flush_now(L, status)) {
            lua_pushinteger(L, first);
            lua_replace(L, file + 1);
            lua_pushinteger(L, length);
            lua_replace(L, file + 2);
            return pace_flush(L, file, send_pieces);
        }
    }
    handle_close_file(L, file);
    return 0;
}

static const char *param(const struct request *r, const char *name)
{
    size_t count, len = strlen(name);
    const struct param *list = request_params(r, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i].name_len == len && memcmp(list[i].name, name, len) == 0)
            return list[i].value;
    return NULL;
}

/* Conditions are about a plain answer to GET and HEAD only. */
static int check(lua_State *L, const struct condition_target *target, int64_t *first,
                 int64_t *length)
{
    struct request *r = call_of(L)->request;
    const char *method = request_param(r, PARAM_REQUEST_METHOD);
    bool get = strcmp(method, "GET") == 0, head = strcmp(method, "HEAD") == 0;
    struct condition c = {
        param(r, "HTTP_IF_MATCH"),
        param(r, "HTTP_IF_NONE_MATCH"),
        param(r, "HTTP_IF_MODIFIED_SINCE"),
        param(r, "HTTP_IF_UNMODIFIED_SINCE"),
        param(r, "HTTP_IF_RANGE"),
        get ? param(r, "HTTP_RANGE") : NULL, /* section 14.2 */
    };
    if ((!get && !head) || strncmp(request_status(r), "200", 3) != 0)
        c = (struct condition){0};
    return condition_check(&c, target, time(NULL), first, length);
}

/* Whether there is something to send after it. */
static bool set_length(lua_State *L, int64_t length)
{
    struct request *r = call_of(L)->request;
    set(L, "Content-Length", lua_pushfstring(L, "%I", (lua_Integer)length));
    lua_pop(L, 1);
    return strcmp(request_param(r, PARAM_REQUEST_METHOD), "HEAD") != 0;
}

/* Sets all but the content. false: there is none, else it is `*length` bytes from
 * `*first` on. */
static bool answer(lua_State *L, const struct stat *st, const struct options *o,
                   const char *path, int64_t *first, int64_t *length)
{
    char etag[64];
    snprintf(etag, sizeof etag, "\"%llx-%llx-%lx\"", (unsigned long long)st->st_size,
             (unsigned long long)st->st_mtime, (unsigned long)st->st_mtim.tv_nsec);
    struct condition_target target = {etag, st->st_mtime, st->st_size};
    int status = check(L, &target, first, length);
    set_validators(L, &target);
    if (status != 200)
        set_status(L, status);
    if (status == 206 || status == 416) {
        const char *range =
            status == 416 ? lua_pushfstring(L, "bytes */%I", (lua_Integer)st->st_size)
                          : lua_pushfstring(L, "bytes %I-%I/%I", (lua_Integer)*first,
                                            (lua_Integer)(*first + *length - 1),
                                            (lua_Integer)st->st_size);
        set(L, "Content-Range", range);
        lua_pop(L, 1);
    }
    set_age(L, o);
    if (status != 200 && status != 206)
        return false;
    set_type(L, o, path);
    set_disposition(L, o, path);
    return set_length(L, *length);
}

/* A visitor who asks for a file that is not there gets 404, for one that may not be read
 * 403. */
static int refuse(lua_State *L, const char *path, int error)
{
    return refusal_raise(L, error == EACCES ? 403 : 404, "SendFile: %s: %s", path,
                         error == EISDIR ? "it is no regular file" : strerror(error));
}

static int send_file(lua_State *L, int first)
{
    struct request *r = call_of(L)->request;
    const char *name = state_check_path(L, first);
    lua_settop(L, first + 1);
    struct options o = read_options(L, first + 1);
    const char *path = state_push_path(L, name);
    if (request_head_sent(r))
        return luaL_error(L, "SendFile after the first flush");
    struct stat st;
    int64_t first_byte, length;
    FILE *file = handle_push_file(L, path);
    if (file == NULL)
        return refuse(L, path, errno);
    request_reset(r, false);
    fstat(fileno(file), &st);
    if (hand_on(L, path)) {
        set_age(L, &o);
        set_type(L, &o, path);
        set_disposition(L, &o, path);
    } else if (answer(L, &st, &o, path, &first_byte, &length)) {
        int index = lua_gettop(L);
        lua_pushinteger(L, first_byte);
        lua_pushinteger(L, length);
        lua_pushboolean(L, length <= WHOLE_BYTES);
        return send_pieces(L, LUA_YIELD, index);
    }
    handle_close_file(L, -1);
    return 0;
}

static const struct facility_row rows[] = {
    {"SendFile", NULL, send_file},
    {0},
};

const struct facility sendfile_api = {.rows = rows};
