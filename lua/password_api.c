/* lf's functions for passwords. They run in the thread that owns the state. The hash is
 * computed by the thread of base/chore.c, while the request waits without a worker; while
 * a script is loaded there is no request, and its own thread computes. */
#include "lua/password_api.h"

#include "base/chore.h"
#include "base/password.h"
#include "lua/call.h"
#include "lua/limit.h"
#include "lua/wait.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

#define JOB_TYPE "luafcgid2.password"

struct job {
    struct chore chore;
    char password[PASSWORD_SIZE];
    char setting[PASSWORD_HASH_SIZE]; /* or the hash to compare with */
    char hash[PASSWORD_HASH_SIZE];
    bool ok;      /* `hash` is one */
    bool verify;  /* compare, in place of returning the hash */
    bool unknown; /* there was nothing to compare with: only the time is to be the same */
};

static void run(struct chore *c)
{
    struct job *job = (struct job *)c;
    job->ok = password_hash(job->password, job->setting, job->hash);
}

static void free_job(struct chore *c)
{
    explicit_bzero(c, sizeof(struct job));
    free(c);
}

static int collect(lua_State *L)
{
    struct job **job = luaL_checkudata(L, 1, JOB_TYPE);
    if (*job != NULL)
        chore_unref(&(*job)->chore);
    *job = NULL;
    return 0;
}

/* Pushes the userdata that holds a new job, so that an error frees it. */
static struct job *push_job(lua_State *L)
{
    struct job **place = lua_newuserdata(L, sizeof *place);
    *place = NULL;
    if (luaL_newmetatable(L, JOB_TYPE)) {
        lua_pushcfunction(L, collect);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    struct job *job = *place = calloc(1, sizeof *job);
    limit_check_memory(L, job != NULL);
    job->chore.run = run;
    job->chore.free = free_job;
    atomic_init(&job->chore.references, 1);
    return job;
}

/* -- The result -- */

static int finish(lua_State *L, struct job *job)
{
    if (!job->verify) {
        if (!job->ok)
            return luaL_error(L, "the password could not be hashed");
        lua_pushstring(L, job->hash);
        return 1;
    }
    lua_pushboolean(L,
                    job->ok && !job->unknown && password_equal(job->hash, job->setting));
    return 1;
}

static int go_on(lua_State *L, int status, lua_KContext context);

/* The job is on top of the stack. */
static int await(lua_State *L, struct job *job)
{
    waker_reset(wait_waker(L));
    if (chore_is_done(&job->chore))
        return finish(L, job);
    struct awaited what = {.what = AWAITED_WAKER, .until = AWAITED_FOREVER};
    return wait_for(L, &what, lua_gettop(L), go_on);
}

static int go_on(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    struct job **job = lua_touserdata(L, (int)context);
    wait_came(L);
    lua_settop(L, (int)context);
    return await(L, *job);
}

static int compute(lua_State *L, struct job *job)
{
    bool may_wait = call_serial(L) != 0 && call_of(L)->operations != NULL;
    if (may_wait && chore_begin(&job->chore, wait_waker(L)))
        return await(L, job);
    run(&job->chore);
    return finish(L, job);
}

/* -- The functions -- */

static bool is_password(const char *s, size_t len)
{
    return len < PASSWORD_SIZE && memchr(s, '\0', len) == NULL;
}

static int password_hash_of(lua_State *L, int first)
{
    size_t len;
    const char *password = luaL_checklstring(L, first, &len);
    luaL_argcheck(L, is_password(password, len), first,
                  "at most 511 bytes without a NUL expected");
    struct job *job = push_job(L);
    memcpy(job->password, password, len);
    if (!password_setting(job->setting))
        return luaL_error(L, "no random bytes for the salt");
    return compute(L, job);
}

/* A visitor may send any password, and a name that nobody has: what can be no password or
 * has no hash is just not the right one, and takes as long. */
static int password_verify(lua_State *L, int first)
{
    size_t len, hash_len = 0;
    const char *password = luaL_checklstring(L, first, &len);
    const char *hash = luaL_optlstring(L, first + 1, NULL, &hash_len);
    struct job *job = push_job(L);
    job->verify = true;
    job->unknown =
        hash == NULL || !is_password(password, len) || !password_is_known(hash, hash_len);
    if (!job->unknown) {
        memcpy(job->password, password, len);
        memcpy(job->setting, hash, hash_len);
    } else if (!password_setting(job->setting)) {
        return luaL_error(L, "no random bytes for the salt");
    }
    return compute(L, job);
}

static const struct facility_row rows[] = {
    {"password_hash", NULL, password_hash_of},
    {"password_verify", NULL, password_verify},
    {0},
};

const struct facility password_api = {.table = "lf", .rows = rows};
