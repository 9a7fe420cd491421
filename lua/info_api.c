/* What the daemon tells scripts of itself. Runs in the thread that owns the state. The
 * list of all scripts comes from the pool, under the pool's lock. */
#include "lua/info_api.h"

#include "lua/call.h"
#include "lua/env.h"
#include "lua/limit.h"
#include "lua/scratch.h"
#include "lua/state.h"

#include <string.h>

static int dir(lua_State *L, int first)
{
    (void)first;
    lua_pushstring(L, state_dir(state_of(L)));
    return 1;
}

/* -- ThreadData -- */

struct listing {
    struct buffer *list; /* of each script: the number of its states, its path, a NUL */
    bool whole;
};

/* The pool's lock is held, so no Lua may run here, which could raise an error. */
static void note_script(const char *path, int states, void *arg)
{
    struct listing *l = arg;
    l->whole = l->whole && buffer_append(l->list, &states, sizeof states) &&
               buffer_append(l->list, path, strlen(path) + 1);
}

/* Adds states to those of the path in the table on top: one script may serve two document
 * roots. */
static void add_states(lua_State *L, const char *path, int states)
{
    lua_getfield(L, -1, path);
    lua_pushinteger(L, states + (int)lua_tointeger(L, -1));
    lua_setfield(L, -3, path);
    lua_pop(L, 1);
}

static int thread_data(lua_State *L, int first)
{
    (void)first;
    struct call *call = call_of(L);
    struct buffer *list = scratch_push(L);
    struct listing listing = {list, true};
    call->visit_scripts(call->pool, note_script, &listing);
    limit_check_memory(L, listing.whole);
    lua_newtable(L);
    for (size_t i = 0; i < list->len;) {
        int states;
        limit_check(L);
        memcpy(&states, list->data + i, sizeof states);
        const char *path = list->data + i + sizeof states;
        add_states(L, path, states);
        i += sizeof states + strlen(path) + 1;
    }
    return 1;
}

static const struct facility_row rows[] = {
    {"ThreadData", NULL, thread_data},
    {"Dir", NULL, dir},
    {0},
};

static void open(lua_State *L, const struct config *config)
{
    (void)config;
    lua_pushboolean(L, 1);
    lua_setglobal(L, "LUAFCGID");
    lua_pushinteger(L, LUAFCGID2_VERSION);
    lua_setglobal(L, "LUAFCGID_VERSION");
}

const struct facility info_api = {.rows = rows, .open = open};
