/* A load from beginning to end: the file runs in a Lua state, which lives on if there are
 * hooks, then one loop over the rows of options gives each its value through the same
 * code, from the file or from the default's own text. Runs on the thread that loads,
 * which owns all of it; no locks. */
#include "config/load.h"

#include "config/hook.h"
#include "config/kind.h"
#include "config/names.h"
#include "config/pages.h"
#include "config/report.h"
#include "config/rules.h"
#include "config/run.h"

#include <lauxlib.h>
#include <stdlib.h>
#include <string.h>

static void push_default(lua_State *L, const struct option_row *o)
{
    lua_pushfstring(L, "return %s", o->fallback);
    if (luaL_loadstring(L, lua_tostring(L, -1)) != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
    lua_remove(L, -2);
}

static void read_options(struct loader *l)
{
    for (size_t i = 0; i < option_count; i++) {
        if (!names_push_value(l, &option_rows[i]))
            push_default(l->L, &option_rows[i]);
        if (!kind_store(l, &option_rows[i], lua_gettop(l->L)))
            kind_complain(l, &option_rows[i], lua_gettop(l->L));
        lua_pop(l->L, 1);
    }
    l->config->entrypoint_set = loader_is_set(l, "Entrypoint");
}

/* The name may be an older one. */
static bool is_hook(const char *name)
{
    const struct option_row *o = option_named(name);
    return o != NULL && o->kind == OPTION_HOOK;
}

/* Logged at once, and so seen on standard error when the daemon starts: the slip was most
 * likely made by the person who starts it. `standard` is the table of globals from before
 * the file. */
static void warn_of_unknown_names(struct loader *l, int standard)
{
    lua_State *L = l->L;
    lua_pushglobaltable(L);
    int globals = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, globals); lua_pop(L, 1)) {
        const char *global = loader_text_at(L, lua_gettop(L) - 1);
        if (global == NULL)
            continue;
        lua_pushvalue(L, -2);
        bool was_there = lua_rawget(L, standard) != LUA_TNIL;
        lua_pop(L, 1);
        const char *near = was_there ? NULL : names_close_to(l, global);
        if (near != NULL && lua_isfunction(L, -1) == is_hook(near))
            log_warning("%s: %s is not an option; did you mean %s?", l->file, global,
                        near);
    }
    lua_pop(L, 1);
}

static void push_standard_names(lua_State *L)
{
    lua_newtable(L);
    lua_pushglobaltable(L);
    for (lua_pushnil(L); lua_next(L, -2);) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_pushboolean(L, 1);
        lua_rawset(L, -5);
    }
    lua_pop(L, 1);
}

static int load_protected(lua_State *L)
{
    struct loader *l = lua_touserdata(L, 1);
    run_open_libraries(L);
    if (l->library != NULL)
        l->library->prepare(L);
    pages_prepare(L);
    push_standard_names(L);
    int standard = lua_gettop(L);
    if (l->run && !run_file(l))
        return 0;
    l->early = names_are_early(L);
    read_options(l);
    rules_check(l);
    warn_of_unknown_names(l, standard);
    if (l->mistakes > 0)
        return 0;
    rules_warn(l);
    return 0;
}

static void load_in_state(struct loader *l)
{
    lua_pushcfunction(l->L, load_protected);
    lua_pushlightuserdata(l->L, l);
    if (lua_pcall(l->L, 1, 0, 0) != LUA_OK)
        report_complain(l, "%s", lua_tostring(l->L, -1)); /* out of memory */
    lua_settop(l->L, 0);
}

/* Ends the engine, or hands it over to the hooks. */
static void end(struct loader *l, struct config_hooks **hooks)
{
    bool out_of_memory = false;
    if (hooks == NULL || l->mistakes > 0)
        engine_destroy(l->engine);
    else
        *hooks = hook_take(l->engine, l->config, l->library, &out_of_memory);
    if (out_of_memory)
        report_complain(l, "out of memory");
}

/* Hands the lines over to the struct. Without memory they are lost. */
static void keep_warnings(struct loader *l)
{
    if (l->warnings.len > 0 && buffer_append(&l->warnings, "", 1)) {
        l->config->warnings = l->warnings.data;
        l->warnings = (struct buffer){0};
    }
    buffer_free(&l->warnings);
}

bool load_into(struct config *config, const char *file, FILE *errors,
               const struct config_library *library, struct config_hooks **hooks)
{
    struct loader l = {.file = file != NULL ? file : "defaults",
                       .errors = errors,
                       .config = config,
                       .library = library,
                       .run = file != NULL};
    config->file = file != NULL ? strdup(file) : NULL;
    if ((file != NULL && config->file == NULL) || !run_begin(&l)) {
        report_complain(&l, "out of memory");
        return false;
    }
    load_in_state(&l);
    end(&l, hooks);
    keep_warnings(&l);
    return l.mistakes == 0;
}
