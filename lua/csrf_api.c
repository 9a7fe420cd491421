/* The session's token against forged forms. Runs in the thread that owns the state, and
 * keeps nothing: the token is made of what the session is found by, which no other site
 * and no log has, so it is another one after Session.Regenerate. */
#include "lua/csrf_api.h"

#include "base/base64.h"
#include "base/sha256.h"
#include "lua/call.h"
#include "lua/form.h"
#include "lua/session_api.h"

#include <lauxlib.h>
#include <string.h>

#define FIELD      "csrf"
#define HEADER     "HTTP_X_CSRF_TOKEN"
#define TOKEN_SIZE 43 /* characters that 32 bytes become */

static void make_token(const struct session_id *id, char token[TOKEN_SIZE])
{
    char text[BASE64_SIZE(SHA256_SIZE)];
    unsigned char hash[SHA256_SIZE];
    struct hmac h;
    sha256_hmac_init(&h, id->hash, sizeof id->hash);
    sha256_hmac_update(&h, "csrf", 4);
    sha256_hmac_final(&h, hash);
    base64_encode(text, hash, sizeof hash, true);
    memcpy(token, text, TOKEN_SIZE);
}

static int csrf(lua_State *L, int first)
{
    (void)first;
    char token[TOKEN_SIZE];
    const struct session_id *id = session_api_id(L, true);
    if (id == NULL)
        return luaL_error(L, "lf.csrf: there is no session");
    make_token(id, token);
    lua_pushlstring(L, token, sizeof token);
    return 1;
}

/* In a time that does not tell where they differ. */
static bool is_token(const char token[TOKEN_SIZE], const char *s, size_t len)
{
    volatile unsigned char different = 0;
    for (size_t i = 0; len == TOKEN_SIZE && i < len; i++)
        different = (unsigned char)(different | (token[i] ^ s[i]));
    return len == TOKEN_SIZE && different == 0;
}

static bool is_in_header(const struct request *r, const char token[TOKEN_SIZE])
{
    size_t count;
    const struct param *list = request_params(r, &count);
    for (size_t i = 0; i < count; i++)
        if (list[i].name_len == strlen(HEADER) &&
            memcmp(list[i].name, HEADER, strlen(HEADER)) == 0)
            return is_token(token, list[i].value, list[i].value_len);
    return false;
}

/* A field that came several times is none. */
static bool is_in_form(lua_State *L, const char token[TOKEN_SIZE])
{
    form_push_fields(L);
    lua_pushliteral(L, FIELD);
    lua_rawget(L, -2);
    return lua_type(L, -1) == LUA_TSTRING &&
           is_token(token, lua_tostring(L, -1), lua_rawlen(L, -1));
}

static int look_into_form(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    char token[TOKEN_SIZE];
    const struct session_id *id = session_api_id(L, false);
    if (id != NULL)
        make_token(id, token);
    lua_pushboolean(L, id != NULL && is_in_form(L, token));
    return 1;
}

static int csrf_ok(lua_State *L, int first)
{
    (void)first;
    char token[TOKEN_SIZE];
    const struct session_id *id = session_api_id(L, false);
    if (id != NULL)
        make_token(id, token);
    if (id != NULL && !is_in_header(call_of(L)->request, token))
        return form_await(L, 0, look_into_form);
    lua_pushboolean(L, id != NULL);
    return 1;
}

static const struct facility_row rows[] = {
    {"csrf", NULL, csrf},
    {"csrf_ok", NULL, csrf_ok},
    {0},
};

const struct facility csrf_api = {.table = "lf", .rows = rows};
