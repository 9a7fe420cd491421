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
#include "lua/pace.h"
#include "lua/refusal.h"
#include "lua/scratch.h"
#include "lua/state.h"
#include "lua/upload.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#define CHUNK 16384 /* bytes of the body that are read at once */

static const char parsed; /* its address is the key in the registry */

/* What is in that table. STATUS is that of a refusal, and WHY its text. Without STATUS it
 * is the text of another error, by which the reading ended. */
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

/* Ends the reading, as an upload cannot be stored. Nobody can read the rest. */
static void fail_to_store(lua_State *L)
{
    upload_push_error(L);
    int table = push_parsed(L);
    lua_pushvalue(L, -2);
    lua_rawseti(L, table, WHY);
    luaL_error(L, "%s", lua_tostring(L, -2));
}

static void raise_again(lua_State *L, int table)
{
    lua_rawgeti(L, table, STATUS);
    lua_rawgeti(L, table, WHY);
    const char *why = lua_tostring(L, -1);
    if (lua_isinteger(L, -2) && why != NULL)
        refusal_raise(L, (int)lua_tointeger(L, -2), "%s", why);
    if (why != NULL)
        luaL_error(L, "%s", why);
    lua_pop(L, 2);
}

static void check_unread(lua_State *L, const char *what)
{
    if (request_body_begun(call_of(L)->request))
        luaL_error(L, "%s: the body has been read already", what);
}

/* A body that is being read. It is in a userdata, above what it fills, so that it is
 * there when the thread goes on that waited for more. */
struct reader {
    void (*take)(lua_State *L, struct reader *reader, const char *data, size_t len);
    int (*finish)(lua_State *L, struct reader *reader); /* to be called as `return` */
    int table; /* index of the table of what was parsed; what is filled is above it */
    lua_KContext context;
    lua_KFunction k; /* called when all is there */
    struct multipart body;
    struct multipart_part part;
    int fields;   /* so far, and files */
    int64_t kept; /* bytes of fields that are no files */
    bool is_file; /* the part that is being read */
};

/* Above the table of what was parsed. Of FIRST and SECOND each kind of body says what
 * they are. Above the reader are the name of a part and its value, a buffer or the object
 * of a file. */
enum slot { FIRST = 1, SECOND, READER };

static void check_arrival(lua_State *L, struct request *r)
{
    if (request_body_too_large(r))
        refuse(L, 413, request_too_large_text(r));
    if (request_body_failed(r))
        refuse(L, 400, "the body did not arrive whole");
}

/* Takes in what has come. Returns whether the body is over; false: more comes later. With
 * `blocks` it waits itself. */
static bool take_all(lua_State *L, struct reader *reader, bool blocks)
{
    struct request *r = call_of(L)->request;
    char chunk[CHUNK];
    for (;;) {
        bool later = false;
        limit_check(L);
        size_t n = blocks ? request_read(r, chunk, sizeof chunk)
                          : request_try_read(r, chunk, sizeof chunk, &later);
        if (n == 0)
            return !later;
        reader->take(L, reader, chunk, n);
    }
}

/* Once this thread has waited itself it goes on so: it would come here again for each
 * piece, from inside the one before. */
static int read_on(lua_State *L, int status, lua_KContext table)
{
    struct reader *reader = lua_touserdata(L, (int)table + READER);
    if (!take_all(L, reader, status == LUA_OK))
        return pace_await_body(L, table, read_on);
    check_arrival(L, call_of(L)->request);
    return reader->finish(L, reader);
}

/* Pushes a reader above the two slots. */
static struct reader *push_reader(lua_State *L, int table, lua_KContext context,
                                  lua_KFunction k)
{
    lua_settop(L, table + SECOND);
    struct reader *reader = lua_newuserdata(L, sizeof *reader);
    *reader = (struct reader){.table = table, .context = context, .k = k};
    return reader;
}

/* All is there, and the stack is as its user left it, or has the value on top as well. */
static int go_on(lua_State *L, const struct reader *reader, bool with_value)
{
    int table = reader->table;
    lua_KContext context = reader->context;
    lua_KFunction k = reader->k;
    if (with_value)
        lua_replace(L, table);
    lua_settop(L, with_value ? table : table - 1);
    return k(L, LUA_YIELD, context);
}

/* -- A body as it is -- */

static void append(lua_State *L, struct reader *reader, const char *data, size_t len)
{
    struct buffer *b = lua_touserdata(L, reader->table + FIRST);
    limit_check_memory(L, buffer_append(b, data, len));
}

static int give_body(lua_State *L, struct reader *reader)
{
    scratch_result(L, lua_touserdata(L, reader->table + FIRST));
    return go_on(L, reader, true);
}

int form_await_body(lua_State *L, const char *what, lua_KContext context, lua_KFunction k)
{
    int table = push_parsed(L);
    raise_again(L, table);
    check_unread(L, what);
    scratch_push(L);
    struct reader *reader = push_reader(L, table, context, k);
    reader->take = append;
    reader->finish = give_body;
    return read_on(L, LUA_YIELD, table);
}

/* -- application/x-www-form-urlencoded -- */

static bool is_urlencoded(const char *type, size_t len)
{
    static const char wanted[] = "application/x-www-form-urlencoded";
    size_t first;
    parameters_of(type, len, &first);
    return first == sizeof wanted - 1 && strncasecmp(type, wanted, first) == 0;
}

static int finish_urlencoded(lua_State *L, struct reader *reader)
{
    struct buffer *b = lua_touserdata(L, reader->table + FIRST);
    if (!fields_try_parse(L, b->data, b->len))
        refuse(L, 400, fields_push_too_many(L));
    buffer_free(b);
    lua_rawseti(L, reader->table, FIELDS);
    lua_newtable(L);
    lua_rawseti(L, reader->table, FILES);
    return go_on(L, reader, false);
}

static int read_urlencoded(lua_State *L, int table, lua_KContext context, lua_KFunction k)
{
    raise_again(L, table);
    check_unread(L, "lf.form");
    scratch_push(L);
    struct reader *reader = push_reader(L, table, context, k);
    reader->take = append;
    reader->finish = finish_urlencoded;
    return read_on(L, LUA_YIELD, table);
}

/* -- multipart/form-data -- */

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
    if (!fields_count(L, &reader->fields))
        refuse(L, 400, fields_push_too_many(L));
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
        if (!upload_write(L, part->data, part->data_len))
            fail_to_store(L);
        return;
    }
    count_kept(L, reader, part->data_len);
    limit_check_memory(L,
                       buffer_append(lua_touserdata(L, -1), part->data, part->data_len));
}

/* Takes name and value off the stack. */
static void end_part(lua_State *L, struct reader *reader)
{
    if (reader->is_file && upload_is_none(L)) {
        lua_pop(L, 2);
        return;
    }
    if (reader->is_file) {
        if (!upload_finish(L))
            fail_to_store(L);
    } else {
        scratch_result(L, lua_touserdata(L, -1));
        lua_remove(L, -2);
    }
    lua_pushvalue(L, reader->table + (reader->is_file ? SECOND : FIRST));
    lua_insert(L, -3);
    fields_add(L);
    lua_pop(L, 1);
}

static void handle_event(lua_State *L, struct reader *reader, enum multipart_event event)
{
    if (event == MULTIPART_PART) {
        begin_part(L, reader);
    } else if (event == MULTIPART_DATA) {
        take_data(L, reader);
    } else if (event == MULTIPART_PART_END) {
        end_part(L, reader);
    } else if (event == MULTIPART_MALFORMED) {
        lua_pushfstring(L, "the form is malformed: %s", reader->body.why);
        refuse(L, 400, lua_tostring(L, -1));
    }
}

static void take_parts(lua_State *L, struct reader *reader, const char *data, size_t len)
{
    while (len > 0) {
        enum multipart_event event =
            multipart_next(&reader->body, &data, &len, &reader->part);
        limit_check(L);
        handle_event(L, reader, event);
    }
}

static int finish_multipart(lua_State *L, struct reader *reader)
{
    if (!multipart_is_whole(&reader->body))
        refuse(L, 400, "the form is malformed: it ends before its last boundary");
    lua_pushvalue(L, reader->table + FIRST);
    lua_rawseti(L, reader->table, FIELDS);
    lua_pushvalue(L, reader->table + SECOND);
    lua_rawseti(L, reader->table, FILES);
    return go_on(L, reader, false);
}

/* The tables of fields and of files are FIRST and SECOND. */
static int read_multipart(lua_State *L, int table, const char *type, size_t len,
                          lua_KContext context, lua_KFunction k)
{
    raise_again(L, table);
    check_unread(L, "lf.form");
    request_expect_upload(call_of(L)->request);
    lua_newtable(L);
    lua_newtable(L);
    struct reader *reader = push_reader(L, table, context, k);
    reader->take = take_parts;
    reader->finish = finish_multipart;
    if (!multipart_begin(&reader->body, type, len))
        refuse(L, 400, "the form is malformed: its Content-Type has no boundary");
    return read_on(L, LUA_YIELD, table);
}

/* -- All of it -- */

static int read_form(lua_State *L, int table, lua_KContext context, lua_KFunction k)
{
    size_t len;
    const char *type = param(call_of(L)->request, "CONTENT_TYPE", &len);
    if (multipart_is_type(type, len))
        return read_multipart(L, table, type, len, context, k);
    if (is_urlencoded(type, len))
        return read_urlencoded(L, table, context, k);
    lua_newtable(L);
    lua_rawseti(L, table, FIELDS);
    lua_newtable(L);
    lua_rawseti(L, table, FILES);
    lua_settop(L, table - 1);
    return k(L, LUA_OK, context);
}

int form_await(lua_State *L, lua_KContext context, lua_KFunction k)
{
    int table = push_parsed(L);
    if (lua_rawgeti(L, table, FIELDS) != LUA_TTABLE) {
        lua_settop(L, table);
        return read_form(L, table, context, k);
    }
    lua_settop(L, table - 1);
    return k(L, LUA_OK, context);
}

static void push_part(lua_State *L, enum parsed what)
{
    int table = push_parsed(L);
    lua_rawgeti(L, table, what);
    lua_replace(L, table);
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
