/* The functions of Session and con.session. They run in the thread that owns the
 * state.
 *
 * The request's cookie is looked up at the first call that needs the session. All
 * workers share the store. It holds values as bytes, and no Lua runs in it, so no lock
 * of the store is held while Lua runs. */
#include "lua/session_api.h"

#include "base/log.h"
#include "base/value.h"
#include "http/cookie.h"
#include "lua/call.h"
#include "lua/limit.h"
#include "lua/scratch.h"

#include <lauxlib.h>
#include <string.h>
#include <strings.h>

#define COOKIES_TRIED 8
#define SMALL_VALUE   256 /* bytes; a value that is read without allocating memory */

static bool is_https(const struct request *r)
{
    const char *https = request_param(r, PARAM_HTTPS);
    return (https[0] != '\0' && strcasecmp(https, "off") != 0) ||
           strcasecmp(request_param(r, PARAM_REQUEST_SCHEME), "https") == 0;
}

static struct session_client client_of(const struct request *r)
{
    return (struct session_client){request_param(r, PARAM_REMOTE_ADDR),
                                   request_param(r, PARAM_HTTP_USER_AGENT),
                                   request_param(r, PARAM_HTTP_ACCEPT_LANGUAGE)};
}

static bool send_cookie(struct request *r, const char *key, int64_t life)
{
    struct buffer *cookie = request_session_cookie(r);
    cookie->len = 0;
    bool ok = session_print_cookie(request_config(r), is_https(r), key, life, cookie);
    if (!ok)
        log_error("session: out of memory");
    return ok;
}

/* Tries the cookies of that name until one fits: somebody may have planted one beside the
 * real one. Their number is bounded, as each costs a hash. */
static void look_up(struct call *call)
{
    struct request *r = call->request;
    struct session_call *session = &call->session;
    struct session_client client = client_of(r);
    const struct config *config = request_config(r);
    const char *header = request_param(r, PARAM_HTTP_COOKIE);
    const char *name = config->session_name;
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
        int64_t renew = 0;
        session->present =
            session_find(call->sessions, config, key, &client, &session->id,
                         request_head_sent(r) ? NULL : &renew);
        if (renew > 0)
            send_cookie(r, key, renew);
    }
}

/* Returns the request's session, or NULL. */
static struct session_id *find(struct call *call)
{
    if (!call->session.looked_up)
        look_up(call);
    return call->session.present ? &call->session.id : NULL;
}

/* Returns the request's session. Makes one if there is none; NULL when that fails. */
static struct session_id *start(struct call *call)
{
    struct request *r = call->request;
    struct session_id *id = find(call);
    if (id != NULL)
        return id;
    if (request_head_sent(r)) {
        log_warning("a session cannot be started after the first flush: its cookie is a "
                    "header");
        return NULL;
    }
    char key[SESSION_KEY_MAX + 1];
    struct session_client client = client_of(r);
    if (!session_create(call->sessions, request_config(r), &client, key,
                        &call->session.id))
        return NULL;
    /* Without its cookie the session could never be found again. */
    if (!send_cookie(r, key, session_cookie_life(request_config(r), 0))) {
        session_delete(call->sessions, &call->session.id);
        return NULL;
    }
    call->session.present = true;
    return &call->session.id;
}

const struct session_id *session_api_id(lua_State *L, bool make)
{
    return make ? start(call_of(L)) : find(call_of(L));
}

/* -- The functions -- */

static int session_start(lua_State *L, int first)
{
    (void)first;
    lua_pushboolean(L, start(call_of(L)) != NULL);
    return 1;
}

static struct bytes check_bytes(lua_State *L, int index)
{
    struct bytes b;
    b.data = luaL_checklstring(L, index, &b.len);
    return b;
}

/* No Lua error may be raised while `encoded` holds memory. */
static bool set_value(lua_State *L, int index, struct call *call, struct bytes realm,
                      struct bytes name)
{
    struct buffer encoded = {.memory = &limit_of(L)->outside};
    const char *why = value_encode(L, index, &encoded);
    if (why != NULL)
        log_warning("Session.SetVar: not kept in the session: %s", why);
    struct session_id *id = why == NULL ? start(call) : NULL;
    struct bytes value = {encoded.data, encoded.len};
    bool ok = id != NULL && session_set(call->sessions, request_config(call->request), id,
                                        realm, name, value);
    buffer_free(&encoded);
    return ok;
}

static bool delete_value(struct call *call, struct bytes realm, struct bytes name)
{
    struct session_id *id = find(call);
    return id != NULL && session_set(call->sessions, request_config(call->request), id,
                                     realm, name, (struct bytes){NULL, 0});
}

static int session_set_var(lua_State *L, int first)
{
    struct call *call = call_of(L);
    struct bytes realm = check_bytes(L, first), name = check_bytes(L, first + 1);
    lua_settop(L, first + 2);
    lua_pushboolean(L, lua_isnil(L, first + 2)
                           ? delete_value(call, realm, name)
                           : set_value(L, first + 2, call, realm, name));
    return 1;
}

/* Pushes the value of a variable. Returns false, with nothing pushed, if there is
 * none. */
static bool push_value(lua_State *L, struct call *call, const struct session_id *id,
                       struct bytes realm, struct bytes name)
{
    char small[SMALL_VALUE];
    size_t len = session_copy(call->sessions, id, realm, name, small, sizeof small);
    if (len == SIZE_MAX)
        return false;
    if (len <= sizeof small)
        return value_push(L, small, len);
    struct buffer *large = scratch_push(L);
    limit_check_memory(L, buffer_reserve(large, len));
    if (!session_get(call->sessions, id, realm, name, large) ||
        !value_push(L, large->data, large->len))
        return false;
    scratch_give_back(L, -2);
    return true;
}

static int session_get_var(lua_State *L, int first)
{
    struct call *call = call_of(L);
    struct bytes realm = check_bytes(L, first), name = check_bytes(L, first + 1);
    struct session_id *id = find(call);
    if (id == NULL || !push_value(L, call, id, realm, name))
        lua_pushnil(L);
    return 1;
}

static int session_has(lua_State *L, int first)
{
    struct call *call = call_of(L);
    struct bytes realm = check_bytes(L, first);
    struct session_id *id = find(call);
    lua_pushboolean(L, id != NULL && session_has_realm(call->sessions, id, realm));
    return 1;
}

static int session_clear_realm(lua_State *L, int first)
{
    struct call *call = call_of(L);
    struct bytes realm = check_bytes(L, first);
    struct session_id *id = find(call);
    lua_pushboolean(L, id != NULL && session_clear(call->sessions, id, realm));
    return 1;
}

static int session_end(lua_State *L, int first)
{
    (void)first;
    struct call *call = call_of(L);
    struct session_id *id = find(call);
    bool deleted = id != NULL && session_delete(call->sessions, id);
    if (id != NULL) {
        call->session.present = false;
        send_cookie(call->request, NULL, 0);
    }
    lua_pushboolean(L, deleted);
    return 1;
}

static int session_renew(lua_State *L, int first)
{
    (void)first;
    struct call *call = call_of(L);
    struct request *r = call->request;
    struct session_id *id = find(call);
    char key[SESSION_KEY_MAX + 1];
    int64_t life;
    bool ok = id != NULL && !request_head_sent(r) &&
              session_regenerate(call->sessions, request_config(r), id, key, &life);
    if (id != NULL && request_head_sent(r))
        log_warning("Session.Regenerate after the first flush: its cookie is a header");
    if (ok && !send_cookie(r, key, life))
        return luaL_error(L, "not enough memory");
    lua_pushboolean(L, ok);
    return 1;
}

static int session_id_tag(lua_State *L, int first)
{
    (void)first;
    struct session_id *id = find(call_of(L));
    char tag[SESSION_TAG_SIZE];
    if (id == NULL) {
        lua_pushnil(L);
        return 1;
    }
    session_tag(id, tag);
    lua_pushstring(L, tag);
    return 1;
}

static const struct facility_row rows[] = {
    {"Start", "start", session_start},
    {"SetVar", "setvar", session_set_var},
    {"GetVar", "getvar", session_get_var},
    {"HasRealm", "hasrealm", session_has},
    {"Clear", "clear", session_clear_realm},
    {"Delete", "delete", session_end},
    {"Regenerate", "regenerate", session_renew},
    {"Id", "id", session_id_tag},
    {0},
};

const struct facility session_api = {
    .table = "Session", .con_table = "session", .rows = rows};
