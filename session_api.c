/* Session.* and con.session:*: the session store's functions for scripts.
 *
 * The request's cookie is looked up at the first call that needs it. The store is shared
 * by all workers; values cross between it and Lua as bytes, so that no lock of the store
 * is ever held while Lua runs. */
#include "session_api.h"

#include "api.h"
#include "cookie.h"
#include "lf.h"
#include "log.h"
#include "value.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#define COOKIES_TRIED 8

static bool is_https(const struct request *r)
{
    bool https = r->https[0] != '\0' && strcasecmp(r->https, "off") != 0;
    return https || strcasecmp(r->request_scheme, "https") == 0;
}

static struct session_client client_of(const struct request *r)
{
    return (struct session_client){r->remote_addr, r->user_agent, r->accept_language};
}

/* Tries cookies of the name until one fits: one may have been planted beside the real
 * one. Not for ever, as each costs a hash. */
static void look_up(struct api_call *call)
{
    struct request *r = call->request;
    struct session_call *session = &call->session;
    struct session_client client = client_of(r);
    const char *header = r->cookie, *name = r->config->session_name;
    struct cookie cookie;
    session->looked_up = true;
    for (int tries = 0; tries < COOKIES_TRIED && !session->present;) {
        if (!cookie_next(&header, &cookie))
            return;
        char key[SESSION_KEY_MAX + 1];
        if (cookie.name_len != strlen(name) ||
            memcmp(cookie.name, name, cookie.name_len) != 0 ||
            cookie.value_len > SESSION_KEY_MAX)
            continue;
        tries++;
        memcpy(key, cookie.value, cookie.value_len);
        key[cookie.value_len] = '\0';
        session->present =
            session_find(call->sessions, r->config, key, &client, &session->id);
    }
}

/* The request's session, or NULL. */
static struct session_id *find(struct api_call *call)
{
    if (!call->session.looked_up)
        look_up(call);
    return call->session.present ? &call->session.id : NULL;
}

static void send_cookie(lua_State *L, struct request *r, const char *key)
{
    struct buffer *value = lf_push_buffer(L);
    if (!session_cookie(r->config, is_https(r), key, value) ||
        !request_set_cookie(r, value->data, value->len))
        luaL_error(L, "not enough memory");
    lua_pop(L, 1);
}

/* The request's session, made if need be; NULL when it cannot be. */
static struct session_id *start(lua_State *L, struct api_call *call)
{
    struct request *r = call->request;
    struct session_id *id = find(call);
    if (id != NULL)
        return id;
    if (r->head_sent) {
        log_warning("a session cannot be started after the first flush: its cookie is a "
                    "header");
        return NULL;
    }
    char key[SESSION_KEY_MAX + 1];
    struct session_client client = client_of(r);
    if (!session_create(call->sessions, r->config, &client, key, &call->session.id))
        return NULL;
    call->session.present = true;
    send_cookie(L, r, key);
    return &call->session.id;
}

/* -- The functions -- */

static int session_start(lua_State *L)
{
    lua_pushboolean(L, start(L, api_call_of(L)) != NULL);
    return 1;
}

static struct bytes check_bytes(lua_State *L, int index)
{
    struct bytes b;
    b.data = luaL_checklstring(L, index, &b.len);
    return b;
}

static int session_set_var(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct bytes realm = check_bytes(L, 1), name = check_bytes(L, 2), value = {NULL, 0};
    lua_settop(L, 3);
    struct buffer *encoded = lf_push_buffer(L);
    if (!lua_isnil(L, 3)) {
        const char *why = value_encode(L, 3, encoded);
        if (why != NULL) {
            log_warning("Session.SetVar: %s cannot be kept in a session", why);
            lua_pushboolean(L, 0);
            return 1;
        }
        value = (struct bytes){encoded->data, encoded->len};
    }
    struct session_id *id = lua_isnil(L, 3) ? find(call) : start(L, call);
    lua_pushboolean(L, id != NULL && session_set(call->sessions, call->request->config,
                                                 id, realm, name, value));
    return 1;
}

static int session_get_var(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct bytes realm = check_bytes(L, 1), name = check_bytes(L, 2);
    struct session_id *id = find(call);
    struct buffer *encoded = lf_push_buffer(L);
    if (id == NULL || !session_get(call->sessions, id, realm, name, encoded) ||
        !value_push(L, encoded->data, encoded->len))
        lua_pushnil(L);
    return 1;
}

static int session_has(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct bytes realm = check_bytes(L, 1);
    struct session_id *id = find(call);
    lua_pushboolean(L, id != NULL && session_has_realm(call->sessions, id, realm));
    return 1;
}

static int session_clear_realm(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct bytes realm = check_bytes(L, 1);
    struct session_id *id = find(call);
    lua_pushboolean(L, id != NULL && session_clear(call->sessions, id, realm));
    return 1;
}

static int session_end(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct session_id *id = find(call);
    bool deleted = id != NULL && session_delete(call->sessions, id);
    if (id != NULL) {
        call->session.present = false;
        send_cookie(L, call->request, NULL);
    }
    lua_pushboolean(L, deleted);
    return 1;
}

static int session_renew(lua_State *L)
{
    struct api_call *call = api_call_of(L);
    struct request *r = call->request;
    struct session_id *id = find(call);
    char key[SESSION_KEY_MAX + 1];
    bool ok = id != NULL && !r->head_sent &&
              session_regenerate(call->sessions, r->config, id, key);
    if (ok)
        send_cookie(L, r, key);
    else if (id != NULL && r->head_sent)
        log_warning("Session.Regenerate after the first flush: its cookie is a header");
    lua_pushboolean(L, ok);
    return 1;
}

static int session_id_tag(lua_State *L)
{
    struct session_id *id = find(api_call_of(L));
    char tag[SESSION_TAG_SIZE];
    if (id == NULL) {
        lua_pushnil(L);
        return 1;
    }
    session_tag(id, tag);
    lua_pushstring(L, tag);
    return 1;
}

static const struct {
    const char *name, *method; /* of Session, of con.session */
    lua_CFunction function;
} functions[] = {
    {"Start", "start", session_start},           {"SetVar", "setvar", session_set_var},
    {"GetVar", "getvar", session_get_var},       {"HasRealm", "hasrealm", session_has},
    {"Clear", "clear", session_clear_realm},     {"Delete", "delete", session_end},
    {"Regenerate", "regenerate", session_renew}, {"Id", "id", session_id_tag},
};

#define FUNCTION_COUNT (sizeof functions / sizeof *functions)

void session_api_open(lua_State *L)
{
    lua_createtable(L, 0, FUNCTION_COUNT);
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        lua_pushcfunction(L, functions[i].function);
        lua_setfield(L, -2, functions[i].name);
    }
    lua_setglobal(L, "Session");
}

/* Called as con.session:name(...): the first argument is the table itself. */
static int method(lua_State *L)
{
    lua_CFunction function = lua_tocfunction(L, lua_upvalueindex(1));
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_remove(L, 1);
    return function(L);
}

void session_api_open_con(lua_State *L)
{
    lua_createtable(L, 0, FUNCTION_COUNT);
    for (size_t i = 0; i < FUNCTION_COUNT; i++) {
        lua_pushcfunction(L, functions[i].function);
        lua_pushcclosure(L, method, 1);
        lua_setfield(L, -2, functions[i].method);
    }
    lua_setfield(L, -2, "session");
}
