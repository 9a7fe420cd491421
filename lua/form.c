/* Forms and queries, parsed once a request. Runs in the thread that owns the state.
 *
 * The registry holds a table of what was parsed, with the number of its request. Files go
 * to the disk as they come (lua/upload.h). Of the rest at most MaxPostSize bytes are
 * kept. */
#include "lua/form.h"

#include "config.h"
#include "http/multipart.h"
#include "http/parameter.h"
#include "lua/call.h"
#include "lua/fields.h"
#include "lua/limit.h"
#include "lua/refusal.h"
#include "lua/scratch.h"
#include "lua/state.h"
#include "lua/upload.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#define CHUNK 16384 /* bytes of the body that are read at once */

static const char parsed; /* its address is the key in the registry */

/* What is in that table. STATUS is that of a refusal, and WHY its text. */
enum parsed { SERIAL = 1, QUERY, FIELDS, FILES, STATUS, WHY };

/* Pushes the table of this request. */
static int push_parsed(lua_State *L)
{
    lua_Integer serial = call_serial(L);
    if (lua_rawgetp(L, LUA_REGISTRYINDEX, &parsed) == LUA_TTABLE) {
        lua_rawgeti(L, -1, SERIAL);
        bool same = lua_tointeger(L, -1) == serial;
        lua_pop(L, 1);
        if (same)
            return lua_gettop(L);
    }
    lua_pop(L, 1);
    lua_createtable(L, WHY, 0);
    lua_pushinteger(L, serial);
    lua_rawseti(L, -2, SERIAL);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &parsed);
    return lua_gettop(L);
}

void form_push_memo(lua_State *L)
{
    push_parsed(L);
}

/* The value of a parameter of the request, "" when absent. */
static const char *param(struct request *r, const char *name, size_t *len)
{
    const char *value = request_find_param(r, name, len);
    if (value == NULL)
        *len = 0;
    return value == NULL ? "" : value;
}

/* -- Reading -- */

/* Refuses the body, now and whenever the script tries again. */
static void refuse(lua_State *L, int status, const char *why)
{
    int table = push_parsed(L);
    lua_pushinteger(L, status);
    lua_rawseti(L, table, STATUS);
    lua_pushstring(L, why);
    lua_rawseti(L, table, WHY);
    refusal_raise(L, status, "%s", why);
}

static void refuse_again(lua_State *L, int table)
{
    lua_rawgeti(L, table, STATUS);
    lua_rawgeti(L, table, WHY);
    if (lua_isinteger(L, -2) && lua_isstring(L, -1))
        refusal_raise(L, (int)lua_tointeger(L, -2), "%s", lua_tostring(L, -1));
    lua_pop(L, 2);
}

/* Reads at most CHUNK bytes. 0: the body is over. */
static size_t read_chunk(lua_State *L, char *chunk)
{
    struct request *r = call_of(L)->request;
    limit_check(L);
    size_t n = request_read(r, chunk, CHUNK);
    if (n > 0)
        return n;
    if (request_body_too_large(r))
        refuse(L, 413, request_too_large_text(r));
    if (request_body_failed(r))
        refuse(L, 400, "the body did not arrive whole");
    return 0;
}

static void check_unread(lua_State *L, const char *what)
{
    if (request_body_begun(call_of(L)->request))
        luaL_error(L, "%s: the body has been read already", what);
}

void form_read_body(lua_State *L, struct buffer *b, const char *what)
{
    int table = push_parsed(L);
    refuse_again(L, table);
    check_unread(L, what);
    char *chunk = lua_newuserdata(L, CHUNK);
    size_t n;
    while ((n = read_chunk(L, chunk)) > 0)
        limit_check_memory(L, buffer_append(b, chunk, n));
    lua_settop(L, table - 1);
}

/* -- application/x-www-form-urlencoded -- */

static bool is_urlencoded(const char *type, size_t len)
{
    static const char wanted[] = "application/x-www-form-urlencoded";
    size_t first;
    parameters_of(type, len, &first);
    return first == sizeof wanted - 1 && strncasecmp(type, wanted, first) == 0;
}

static void read_urlencoded(lua_State *L, int table)
{
    struct buffer *b = scratch_push(L);
    form_read_body(L, b, "lf.form");
    fields_parse(L, b->data, b->len);
    buffer_free(b);
    lua_rawseti(L, table, FIELDS);
}

/* -- multipart/form-data -- */

struct reader {
    struct multipart body;
    struct multipart_part part;
    int fields;   /* so far, and files */
    int64_t kept; /* bytes of fields that are no files */
    bool is_file; /* the part that is being read */
    char chunk[CHUNK];
};

/* Where things are on the stack while a body is read; the name of a part and its value, a
 * buffer or the object of a file, are above. */
enum slot { FORM_SLOT = 1, FILES_SLOT, SLOTS };

static void count_kept(lua_State *L, struct reader *reader, size_t len)
{
    int64_t max = state_config(state_of(L))->max_post_size;
    reader->kept += (int64_t)len;
    if (max > 0 && reader->kept > max)
        refuse(L, 413,
               "the fields of the form, without its files, are larger than "
               "MaxPostSize");
}

static void begin_part(lua_State *L, struct reader *reader)
{
    const struct multipart_part *part = &reader->part;
    fields_count(L, &reader->fields);
    count_kept(L, reader, part->name_len);
    lua_pushlstring(L, part->name, part->name_len);
    reader->is_file = part->file != NULL;
    if (reader->is_file)
        upload_push(L, part);
    else
        scratch_push(L);
}

static void take_data(lua_State *L, struct reader *reader)
{
    const struct multipart_part *part = &reader->part;
    if (reader->is_file) {
        upload_write(L, part->data, part->data_len);
        return;
    }
    count_kept(L, reader, part->data_len);
    limit_check_memory(L,
                       buffer_append(lua_touserdata(L, -1), part->data, part->data_len));
}

/* Takes name and value off the stack. */
static void end_part(lua_State *L, struct reader *reader, int base)
{
    if (reader->is_file && upload_is_none(L)) {
        lua_pop(L, 2);
        return;
    }
    if (reader->is_file) {
        upload_finish(L);
    } else {
        scratch_result(L, lua_touserdata(L, -1));
        lua_remove(L, -2);
    }
    lua_pushvalue(L, base + (reader->is_file ? FILES_SLOT : FORM_SLOT));
    lua_insert(L, -3);
    fields_add(L);
    lua_pop(L, 1);
}

static void handle_event(lua_State *L, struct reader *reader, enum multipart_event event,
                         int base)
{
    if (event == MULTIPART_PART) {
        begin_part(L, reader);
    } else if (event == MULTIPART_DATA) {
        take_data(L, reader);
    } else if (event == MULTIPART_PART_END) {
        end_part(L, reader, base);
    } else if (event == MULTIPART_MALFORMED) {
        lua_pushfstring(L, "the form is malformed: %s", reader->body.why);
        refuse(L, 400, lua_tostring(L, -1));
    }
}

static void read_parts(lua_State *L, struct reader *reader, int base)
{
    size_t n;
    while ((n = read_chunk(L, reader->chunk)) > 0) {
        const char *in = reader->chunk;
        while (n > 0) {
            enum multipart_event event =
                multipart_next(&reader->body, &in, &n, &reader->part);
            limit_check(L);
            handle_event(L, reader, event, base);
        }
    }
    if (!multipart_is_whole(&reader->body))
        refuse(L, 400, "the form is malformed: it ends before its last boundary");
}

static void read_multipart(lua_State *L, int table, const char *type, size_t len)
{
    refuse_again(L, table);
    check_unread(L, "lf.form");
    request_expect_upload(call_of(L)->request);
    int base = lua_gettop(L);
    lua_newtable(L);
    lua_newtable(L);
    struct reader *reader = lua_newuserdata(L, sizeof *reader);
    *reader = (struct reader){0};
    if (!multipart_begin(&reader->body, type, len))
        refuse(L, 400, "the form is malformed: its Content-Type has no boundary");
    read_parts(L, reader, base);
    lua_settop(L, base + FILES_SLOT);
    lua_rawseti(L, table, FILES);
    lua_rawseti(L, table, FIELDS);
}

/* -- All of it -- */

static void read_form(lua_State *L, int table)
{
    size_t len;
    const char *type = param(call_of(L)->request, "CONTENT_TYPE", &len);
    if (multipart_is_type(type, len)) {
        read_multipart(L, table, type, len);
        return;
    }
    if (is_urlencoded(type, len)) {
        read_urlencoded(L, table);
    } else {
        lua_newtable(L);
        lua_rawseti(L, table, FIELDS);
    }
    lua_newtable(L);
    lua_rawseti(L, table, FILES);
}

static void push_part(lua_State *L, enum parsed what)
{
    int table = push_parsed(L);
    if (lua_rawgeti(L, table, what) != LUA_TTABLE) {
        read_form(L, table);
        lua_settop(L, table);
        lua_rawgeti(L, table, what);
    }
    lua_replace(L, table);
    lua_settop(L, table);
}

void form_push_fields(lua_State *L)
{
    push_part(L, FIELDS);
}

void form_push_files(lua_State *L)
{
    push_part(L, FILES);
}

void form_push_query(lua_State *L)
{
    int table = push_parsed(L);
    if (lua_rawgeti(L, table, QUERY) != LUA_TTABLE) {
        size_t len;
        const char *query = param(call_of(L)->request, "QUERY_STRING", &len);
        fields_parse(L, query, len);
        lua_pushvalue(L, -1);
        lua_rawseti(L, table, QUERY);
    }
    lua_replace(L, table);
    lua_settop(L, table);
}
