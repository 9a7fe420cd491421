/* What the tests of rooms that need a Lua state share: a directory for scripts, the
 * built-in configuration, scripts made from a text, a request without a web server, and a
 * log that can be read. To be included after cmocka.h. */
#ifndef SCRIPT_FIXTURE_H
#define SCRIPT_FIXTURE_H

#include "base/log.h"
#include "config.h"
#include "lua/api.h"
#include "lua/limit.h"
#include "lua/script.h"
#include "request.h"
#include "store/session.h"
#include "store/store.h"
#include "tests/unit/files.h"
#include "tests/unit/peer_fixture.h"

#include <lauxlib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct config *config; /* the test's to change */
static struct session_store *sessions;
static struct request *request;
static struct fake_peer peer; /* of the request */
static char directory[64];    /* of scripts and the log; resolved */

static inline void group_set_up(void)
{
    limit_init();
}

static inline int set_up(void **state)
{
    (void)state;
    char path[96];
    snprintf(directory, sizeof directory, "/tmp/script.XXXXXX");
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/log", directory);
    assert_true(log_open(path, LOG_LEVEL_DEBUG));
    config = config_load(NULL, stderr);
    assert_non_null(config);
    sessions = store_create(config);
    assert_non_null(sessions);
    request = request_create();
    assert_non_null(request);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    char command[96];
    request_destroy(request);
    fake_peer_clear(&peer);
    store_destroy(sessions);
    config_unref(config);
    assert_true(log_open("/dev/null", LOG_LEVEL_INFO));
    snprintf(command, sizeof command, "rm -rf %s", directory);
    return system(command);
}

/* The path of a file in the directory, until the eighth call from now. */
static inline const char *path_of(const char *name)
{
    static char paths[8][128];
    static unsigned last;
    last = (last + 1) % 8;
    snprintf(paths[last], sizeof paths[last], "%s/%s", directory, name);
    return paths[last];
}

static inline const char *write_file(const char *name, const char *text)
{
    const char *path = path_of(name);
    files_write(path, text);
    return path;
}

/* What the log says, until the next call. */
static inline const char *logged(void)
{
    return files_read(path_of("log"));
}

static inline void assert_logged(const char *part)
{
    if (strstr(logged(), part) == NULL)
        fail_msg("the log does not say \"%s\", but:\n%s", part, logged());
}

/* -- Scripts -- */

/* A state made from the file; NULL with `error`. */
static inline struct script *load(const char *path, struct script_error *error)
{
    struct script_code *code = script_compile(path, config, error);
    if (code == NULL)
        return NULL;
    struct script *s = script_create(code, directory, config, 1, error);
    script_code_unref(code);
    return s;
}

/* A state made from "script.lua" with that text. */
static inline struct script *script(const char *text)
{
    struct script_error error = {0};
    struct script *s = load(write_file("script.lua", text), &error);
    if (s == NULL)
        fail_msg("%d: %s", error.status, error.message);
    return s;
}

static const char *chunk; /* that run_chunk runs */

static inline int run_chunk(lua_State *L)
{
    if (luaL_loadstring(L, chunk) != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

/* Runs more in the state. The message of its error, until the next call, or NULL. */
static inline const char *error_of(struct script *s, const char *text)
{
    static char message[4096];
    struct script_error error = {0};
    chunk = text;
    if (state_run(s, run_chunk, false, &error) != STATE_FAILED)
        return NULL;
    assert_non_null(error.message);
    snprintf(message, sizeof message, "%d: %s", error.status, error.message);
    state_error_clear(&error);
    return message;
}

static inline void run(struct script *s, const char *text)
{
    const char *message = error_of(s, text);
    if (message != NULL)
        fail_msg("%s", message);
}

/* It fails, and the message ("500: text") has `part` in it. */
static inline void assert_raises(struct script *s, const char *text, const char *part)
{
    const char *message = error_of(s, text);
    if (message == NULL)
        fail_msg("no error of %s", text);
    if (strstr(message, part) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", message, part);
}

/* -- Requests -- */

/* The parameters of the request, "NAME=value" each, "" at the end; and a response as it
 * is before any script. */
static inline void begin_request(const char *const *params)
{
    fake_peer_set(&peer, params);
    assert_true(request_begin(request, &fake_peer_operations, &peer, config));
}

/* What the script's entry point answers to the request that was begun, until the next
 * call. NULL with `error`. */
static inline const char *answer(struct script *s, struct script_error *error)
{
    static char body[8192];
    struct call call = {.request = request, .worker = 3, .sessions = sessions};
    if (!api_serve(s, &call, error))
        return NULL;
    const struct buffer *sent = request_buffer(request);
    assert_true(sent->len < sizeof body);
    memcpy(body, sent->len > 0 ? sent->data : "", sent->len);
    body[sent->len] = '\0';
    return body;
}

#define serve(s, ...) serve_params(s, (const char *const[]){__VA_ARGS__, ""})

static inline const char *serve_params(struct script *s, const char *const *params)
{
    struct script_error error = {0};
    begin_request(params);
    const char *body = answer(s, &error);
    if (body == NULL)
        fail_msg("%d: %s", error.status, error.message);
    return body;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
