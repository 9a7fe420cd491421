/* Event writes one server-sent event (HTML standard, section 9.2) and flushes it. Runs in
 * the thread that owns the state, and keeps nothing but the note in the call that this
 * response is a stream (lua/keepalive.h). */
#include "lua/event_api.h"

#include "base/log.h"
#include "lua/call.h"
#include "lua/keepalive.h"
#include "lua/limit.h"
#include "lua/response_api.h"
#include "lua/scratch.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#define STEP_BYTES 4096 /* of work between two looks at the limit */
#define EVENT_TYPE "text/event-stream"

/* -- Headers -- */

static void set_unless_own(lua_State *L, struct request *r, const char *name,
                           const char *value)
{
    if (request_header_is_own(r, name))
        return;
    enum headers_result result =
        request_set_header(r, name, strlen(name), value, strlen(value));
    if (result != HEADERS_OK)
        luaL_error(L, "header '%s': %s", name, headers_strerror(result));
}

static bool is_event_stream(const struct request *r)
{
    size_t len;
    const char *type = request_header(r, "Content-Type", &len);
    return type != NULL && len >= strlen(EVENT_TYPE) &&
           strncasecmp(type, EVENT_TYPE, strlen(EVENT_TYPE)) == 0;
}

/* The last of the headers tells nginx to pass each event on at once. */
static void begin_stream(lua_State *L, struct request *r)
{
    if (!request_head_sent(r)) {
        set_unless_own(L, r, "Content-Type", EVENT_TYPE);
        set_unless_own(L, r, "Cache-Control", "no-store");
        set_unless_own(L, r, "X-Accel-Buffering", "no");
    } else if (!is_event_stream(r) && !request_is_gone(r)) {
        log_warning("the first event comes after a flush, too late to set the "
                    "Content-Type " EVENT_TYPE);
    }
}

/* -- Text -- */

static void put(lua_State *L, struct buffer *text, const char *data, size_t len)
{
    limit_check_memory(L, buffer_append(text, data, len));
}

static void put_field(lua_State *L, struct buffer *text, const char *name,
                      const char *value, size_t len)
{
    put(L, text, name, strlen(name));
    put(L, text, ": ", 2);
    put(L, text, value, len);
    put(L, text, "\n", 1);
}

/* The bytes before the next CR or LF. */
static size_t line_length(lua_State *L, const char *s, size_t len)
{
    size_t i = 0;
    while (i < len && s[i] != '\r' && s[i] != '\n')
        if (++i % STEP_BYTES == 0)
            limit_check(L);
    return i;
}

/* One field for each line: CR, LF and CRLF all end a line of an event stream. */
static void put_data(lua_State *L, struct buffer *text, const char *s, size_t len)
{
    size_t next_look = STEP_BYTES;
    for (size_t at = 0;; at++) {
        size_t line = line_length(L, s + at, len - at);
        put_field(L, text, "data", s + at, line);
        at += line;
        if (at == len)
            return;
        if (s[at] == '\r' && at + 1 < len && s[at + 1] == '\n')
            at++;
        if (at >= next_look) {
            limit_check(L);
            next_look = at + STEP_BYTES;
        }
    }
}

static int option_error(lua_State *L, int index, const char *name, const char *expected)
{
    return luaL_argerror(L, index, lua_pushfstring(L, "%s: %s expected", name, expected));
}

static void put_text(lua_State *L, struct buffer *text, int index, const char *name)
{
    if (lua_getfield(L, index, name) != LUA_TNIL) {
        size_t len = 0;
        const char *value = lua_tolstring(L, -1, &len);
        if (value == NULL || memchr(value, '\r', len) != NULL ||
            memchr(value, '\n', len) != NULL || memchr(value, '\0', len) != NULL)
            option_error(L, index, name, "a string without CR, LF and NUL");
        put_field(L, text, name, value, len);
    }
    lua_pop(L, 1);
}

static void put_retry(lua_State *L, struct buffer *text, int index)
{
    if (lua_getfield(L, index, "retry") != LUA_TNIL) {
        int is_whole;
        lua_Integer ms = lua_tointegerx(L, -1, &is_whole);
        if (!is_whole || ms < 0)
            option_error(L, index, "retry", "a whole number of milliseconds");
        limit_check_memory(
            L, buffer_printf(text, "retry: " LUA_INTEGER_FMT "\n", (LUAI_UACINT)ms));
    }
    lua_pop(L, 1);
}

/* Without data and options it is a comment. */
static void put_event(lua_State *L, struct buffer *text, int data, int options)
{
    bool is_comment = lua_isnil(L, data);
    if (!lua_isnil(L, options)) {
        luaL_checktype(L, options, LUA_TTABLE);
        put_text(L, text, options, "event");
        put_text(L, text, options, "id");
        put_retry(L, text, options);
        is_comment = is_comment && text->len == 0;
    }
    if (!lua_isnil(L, data)) {
        size_t len;
        const char *s = luaL_checklstring(L, data, &len);
        put_data(L, text, s, len);
    }
    put(L, text, is_comment ? ":\n\n" : "\n", is_comment ? 3 : 1);
}

/* The event is written whole before any of it joins the body: an error leaves no half. */
static int event(lua_State *L, int first)
{
    struct call *call = call_of(L);
    lua_settop(L, first + 1);
    struct buffer *text = scratch_push(L);
    put_event(L, text, first, first + 1);
    if (call->event_sent == 0)
        begin_stream(L, call->request);
    keepalive_begin(call);
    limit_check_memory(L, request_append(call->request, text->data, text->len));
    scratch_give_back(L, first + 2);
    return response_api_flush(L);
}

static const struct facility_row rows[] = {{"Event", "event", event}, {0}};

const struct facility event_api = {.rows = rows};
