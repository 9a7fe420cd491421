/* How scripts make the response. Runs in the thread that owns the state.
 *
 * Where luafcgid's method and the function of a later version differ, each has a row of
 * its own, and they share the function that does the work. */
#include "lua/response_api.h"

#include "base/log.h"
#include "http/status.h"
#include "lua/call.h"
#include "lua/limit.h"
#include "lua/pace.h"
#include "lua/scratch.h"

#include <lauxlib.h>
#include <string.h>

static struct request *request_of(lua_State *L)
{
    return call_of(L)->request;
}

/* -- The body -- */

void response_api_append(lua_State *L, int index)
{
    struct request *r = request_of(L);
    size_t len;
    const char *s = luaL_checklstring(L, index, &len);
    limit_check_memory(L, request_append(r, s, len));
}

/* Sends the arguments from `next` on. Each may have to wait for the client. */
static int send_from(lua_State *L, int status, lua_KContext next)
{
    int count = lua_gettop(L);
    for (int i = (int)next; i <= count; i++) {
        response_api_append(L, i);
        if (!request_is_due(request_of(L)))
            continue;
        limit_check(L);
        if (!pace_flush_now(L, status))
            return pace_flush(L, i + 1, send_from);
    }
    return 0;
}

static int send_all(lua_State *L, int first)
{
    return send_from(L, LUA_YIELD, first);
}

/* Sends one argument and ignores others: in con:puts(s:gsub(...)) the second is a count.
 */
static int puts_one(lua_State *L, int first)
{
    if (lua_isnone(L, first))
        return 0;
    lua_settop(L, first);
    return send_from(L, LUA_YIELD, first);
}

static int flushed(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    lua_pushboolean(L, !request_is_gone(request_of(L)));
    return 1;
}

int response_api_flush(lua_State *L)
{
    return pace_flush(L, 0, flushed);
}

static int flush(lua_State *L, int first)
{
    (void)first;
    return response_api_flush(L);
}

static int reset_all(lua_State *L, int first)
{
    (void)first;
    request_reset(request_of(L), true);
    return 0;
}

static int reset_body(lua_State *L, int first)
{
    (void)first;
    request_reset(request_of(L), false);
    return 0;
}

/* -- Status and headers -- */

/* After the head has gone out a warning is logged; an error would end a page of which the
 * client has a part already. */
static bool is_too_late(struct request *r, const char *what)
{
    bool late = request_head_sent(r);
    if (late && !request_is_gone(r))
        log_warning("%s after the first flush has no effect", what);
    return late;
}

static void check_header(lua_State *L, enum headers_result result, const char *name)
{
    if (result == HEADERS_TOO_LARGE) /* the name itself may be too large for a message */
        luaL_error(L, "%s", headers_strerror(result));
    if (result != HEADERS_OK)
        luaL_error(L, "header '%s': %s", name, headers_strerror(result));
}

/* As luaL_checklstring, but 404.0 is "404": JSON libraries and divisions give floats. */
static const char *check_text(lua_State *L, int index, size_t *len)
{
    int is_whole = 0;
    if (lua_type(L, index) == LUA_TNUMBER && !lua_isinteger(L, index)) {
        lua_Integer n = lua_tointegerx(L, index, &is_whole);
        if (is_whole) {
            lua_pushinteger(L, n);
            lua_replace(L, index);
        }
    }
    return luaL_checklstring(L, index, len);
}

static void set_header(lua_State *L, struct request *r, const char *name, size_t name_len,
                       const char *value, size_t value_len)
{
    if (!is_too_late(r, "a header"))
        check_header(L, request_set_header(r, name, name_len, value, value_len), name);
}

void response_api_set_header(lua_State *L, const char *name, const char *value,
                             size_t len)
{
    set_header(L, request_of(L), name, strlen(name), value, len);
}

/* The argument is "Name: value", with or without a line end. */
static void set_header_line(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *line = luaL_checklstring(L, index, &len);
    const char *colon = memchr(line, ':', len);
    luaL_argcheck(L, colon != NULL, index, "a line \"Name: value\" expected");
    size_t name_len = (size_t)(colon - line), value_len = len - name_len - 1;
    if (value_len > 0 && line[len - 1] == '\n')
        value_len -= value_len > 1 && line[len - 2] == '\r' ? 2 : 1;
    set_header(L, r, line, name_len, colon + 1, value_len);
}

static void set_header_table(lua_State *L, struct request *r, int index)
{
    lua_settop(L, index);
    lua_pushnil(L);
    while (lua_next(L, index) != 0) {
        size_t name_len, value_len;
        luaL_argcheck(L, lua_type(L, -2) == LUA_TSTRING && lua_isstring(L, -1), index,
                      "a table of names and values expected");
        const char *name = lua_tolstring(L, -2, &name_len);
        const char *value = check_text(L, lua_gettop(L), &value_len);
        set_header(L, r, name, name_len, value, value_len);
        lua_pop(L, 1);
    }
}

static int header(lua_State *L, int first)
{
    struct request *r = request_of(L);
    if (lua_istable(L, first)) {
        set_header_table(L, r, first);
    } else if (lua_isnoneornil(L, first + 1)) {
        set_header_line(L, r, first);
    } else {
        size_t name_len, value_len;
        const char *name = luaL_checklstring(L, first, &name_len);
        const char *value = check_text(L, first + 1, &value_len);
        set_header(L, r, name, name_len, value, value_len);
    }
    return 0;
}

/* As luafcgid, which did nothing without an argument, and said nothing. */
static int header_or_nothing(lua_State *L, int first)
{
    return lua_isnone(L, first) ? 0 : header(L, first);
}

static void set_status(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *status = check_text(L, index, &len);
    if (!is_too_late(r, "a status"))
        luaL_argcheck(L, request_set_status(r, status, len), index,
                      "an HTTP status from 200 to 599 expected, as \"404 Not Found\"");
}

static int resp_status(lua_State *L, int first)
{
    set_status(L, request_of(L), first);
    return 0;
}

static void set_content_type(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *type = luaL_checklstring(L, index, &len);
    set_header(L, r, "Content-Type", 12, type, len);
}

static int resp_content_type(lua_State *L, int first)
{
    set_content_type(L, request_of(L), first);
    return 0;
}

/* -- Redirect -- */

/* What a URL cannot have (RFC 3986 section 2); '%' stays, since it may be an encoding. */
static bool must_be_encoded(char c)
{
    return (unsigned char)c <= 0x20 || (unsigned char)c >= 0x7f ||
           strchr("\"<>\\^`{|}", c) != NULL;
}

/* Pushes the URL at `index` with spaces, bytes of UTF-8 and the like encoded. */
static void push_location(lua_State *L, int index)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t len;
    const char *url = luaL_checklstring(L, index, &len);
    luaL_argcheck(L, len > 0, index, "a URL expected");
    luaL_argcheck(L, len <= HEADERS_MAX_BYTES, index, "the URL is too long");
    luaL_Buffer b;
    luaL_buffinit(L, &b);
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)url[i];
        luaL_argcheck(L, c >= 0x20 && c != 0x7f, index,
                      "a URL without control characters expected");
        if (must_be_encoded(url[i])) {
            luaL_addchar(&b, '%');
            luaL_addchar(&b, hex[c >> 4]);
            luaL_addchar(&b, hex[c & 15]);
        } else {
            luaL_addchar(&b, url[i]);
        }
    }
    luaL_pushresult(&b);
}

static bool is_redirection(lua_Integer status)
{
    return (status >= 301 && status <= 303) || status == 307 || status == 308;
}

static int redirect(lua_State *L, int first)
{
    struct request *r = request_of(L);
    lua_Integer status = luaL_optinteger(L, first + 1, 302);
    luaL_argcheck(L, is_redirection(status), first + 1,
                  "301, 302, 303, 307 or 308 expected");
    push_location(L, first);
    if (is_too_late(r, "Redirect"))
        return 0;
    size_t len;
    const char *location = lua_tolstring(L, -1, &len);
    response_api_set_header(L, "Location", location, len);
    lua_pushinteger(L, status);
    set_status(L, r, lua_gettop(L));
    request_reset(r, false);
    return 0;
}

/* -- con:config: each setting has `get`, which pushes it, and `set` -- */

static void get_status(lua_State *L, struct request *r)
{
    lua_pushstring(L, request_status(r));
}

static void get_content_type(lua_State *L, struct request *r)
{
    size_t len;
    const char *type = request_header(r, "Content-Type", &len);
    if (type == NULL)
        lua_pushnil(L);
    else
        lua_pushlstring(L, type, len);
}

static void get_buffering(lua_State *L, struct request *r)
{
    lua_pushboolean(L, request_is_buffering(r));
}

static void set_buffering(lua_State *L, struct request *r, int index)
{
    luaL_checktype(L, index, LUA_TBOOLEAN);
    request_set_buffering(r, lua_toboolean(L, index));
}

static void get_headers(lua_State *L, struct request *r)
{
    struct buffer *text = scratch_push(L);
    limit_check_memory(L, request_write_headers(r, text));
    scratch_finish(L, -1);
    lua_remove(L, -2);
}

static void set_headers(lua_State *L, struct request *r, int index)
{
    size_t len;
    const char *text = luaL_checklstring(L, index, &len);
    if (!is_too_late(r, "a header"))
        check_header(L, request_replace_headers(r, text, len), "headers");
}

struct setting {
    const char *name;
    void (*get)(lua_State *L, struct request *r);
    void (*set)(lua_State *L, struct request *r, int index);
};

static const struct setting *find_setting(const char *name)
{
    static const struct setting settings[] = {
        {"httpstatus", get_status, set_status},
        {"contenttype", get_content_type, set_content_type},
        {"buffering", get_buffering, set_buffering},
        {"headers", get_headers, set_headers},
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

/* Gives the value from before. As in luafcgid, an unknown setting is no error, and its
 * value is nil. */
static int config_setting(lua_State *L, int first)
{
    if (lua_isnone(L, first))
        return 0;
    struct request *r = request_of(L);
    const char *name = luaL_checkstring(L, first);
    const struct setting *setting = find_setting(name);
    lua_settop(L, first + 1);
    if (setting == NULL) {
        log_debug("con:config: there is no setting '%s'", name);
        lua_pushnil(L);
        return 1;
    }
    setting->get(L, r);
    if (!lua_isnil(L, first + 1))
        setting->set(L, r, first + 1);
    return 1;
}

/* -- Registering -- */

static const struct facility_row rows[] = {
    {"Send", NULL, send_all},
    {NULL, "puts", puts_one},
    {"Flush", "flush", flush},
    {"Reset", NULL, reset_all},
    {NULL, "reset", reset_body},
    {"Header", NULL, header},
    {NULL, "header", header_or_nothing},
    {"RespStatus", NULL, resp_status},
    {"RespContentType", NULL, resp_content_type},
    {"Redirect", NULL, redirect},
    {NULL, "config", config_setting},
    {0},
};

static void add_reason(int code, const char *reason, void *arg)
{
    lua_State *L = arg;
    lua_pushfstring(L, "%d %s", code, reason);
    lua_rawseti(L, -2, code);
}

static void fill_statuses(lua_State *L)
{
    status_visit(add_reason, L);
}

const struct facility response_api = {.rows = rows};

static const struct facility_row no_rows[] = {{0}};

const struct facility response_api_statuses = {
    .table = "Response", .rows = no_rows, .fill = fill_statuses};
