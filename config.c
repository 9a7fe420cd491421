/* The configuration file, and the published configuration.
 *
 * Loading runs on the main thread, at start and on SIGHUP: the file in a Lua state that
 * lives for the load only, then one loop over the table config_options, which gives each
 * option its value through the same code, be it from the file or from the default's own
 * text. A struct config is never changed once config_load has returned it; its count of
 * references is atomic. `published` is guarded by the mutex `publishing`, held for a few
 * pointer operations; `generation` is atomic. */
#include "config.h"

#include "config/loader.h"
#include "config/text.h"

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* -- The struct: counted, freed by the same table -- */

struct counted {
    struct config config; /* first: a struct config * is a struct counted * */
    atomic_uint references;
};

void *loader_field(const struct config *c, const struct option *o)
{
    return (char *)(uintptr_t)c + o->offset;
}

static void free_list(char **list)
{
    for (char **at = list; at != NULL && *at != NULL; at++)
        free(*at);
    free(list);
}

static void free_config(struct config *c)
{
    for (size_t i = 0; i < config_option_count; i++) {
        void *at = loader_field(c, &config_options[i]);
        switch (config_options[i].kind) {
        case KIND_TEXT:
        case KIND_PATH:
        case KIND_TABLE:
            free(*(char **)at);
            break;
        case KIND_LIST:
            free_list(*(char ***)at);
            break;
        default:
            break;
        }
    }
    free(c->file);
    free(c->warnings);
    free(c);
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&((struct counted *)c)->references, 1,
                              memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&((struct counted *)c)->references, 1,
                                               memory_order_acq_rel) == 1)
        free_config(c);
}

/* -- From the file's globals to the struct -- */

/* Raw: a file may give its globals a metatable that objects to unknown names. */
static int push_global(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

/* The first luafcgid2 had lower-case names of its own, of which `states` meant another
 * thing than in luafcgid. `threads` and `maxstates` tell such a file. */
static bool uses_early_names(lua_State *L)
{
    bool early = push_global(L, "threads") == LUA_TNUMBER;
    early = push_global(L, "maxstates") == LUA_TNUMBER || early;
    lua_pop(L, 2);
    return early;
}

static bool is_early_name(const char *name)
{
    for (size_t i = 0; i < config_option_count; i++)
        if (config_options[i].early != NULL && strcmp(config_options[i].early, name) == 0)
            return true;
    return false;
}

/* The names an option may go by in this file, the newest first. */
static void names_of(const struct loader *l, const struct option *o, const char *names[4])
{
    bool taken =
        o->older != NULL && ((l->early && is_early_name(o->older)) ||
                             (o->also != NULL && strcmp(o->older, o->also) == 0));
    names[0] = o->name;
    names[1] = o->also;
    names[2] = taken ? NULL : o->older;
    names[3] = l->early ? o->early : NULL;
}

/* luafcgid took "" for a string that is not set; so do we under its names, where "" is no
 * good value. */
static bool counts_as_unset(const struct loader *l, const struct option *o,
                            const char *name, int index)
{
    const char *text = loader_text_at(l->L, index);
    return name != o->name && name != o->also && text != NULL && text[0] == '\0' &&
           o->check != NULL && !o->check("");
}

/* Pushes the value the file gave the option and notes the name; false: it gave none. */
static bool push_set_value(struct loader *l, const struct option *o)
{
    const char *names[4], **set_as = &l->set_as[loader_row(o)];
    names_of(l, o, names);
    for (int i = 0; i < 4; i++) {
        if (names[i] == NULL)
            continue;
        if (push_global(l->L, names[i]) == LUA_TNIL ||
            counts_as_unset(l, o, names[i], lua_gettop(l->L))) {
            lua_pop(l->L, 1);
        } else if (*set_as != NULL) {
            loader_warn(l, "%s is ignored, because %s is set too", names[i], *set_as);
            lua_pop(l->L, 1);
        } else {
            *set_as = names[i];
        }
    }
    return *set_as != NULL;
}

static void push_default(lua_State *L, const struct option *o)
{
    lua_pushfstring(L, "return %s", o->fallback);
    if (luaL_loadstring(L, lua_tostring(L, -1)) != LUA_OK)
        lua_error(L);
    lua_call(L, 0, 1);
    lua_remove(L, -2);
}

static void read_options(struct loader *l)
{
    for (size_t i = 0; i < config_option_count; i++) {
        if (!push_set_value(l, &config_options[i]))
            push_default(l->L, &config_options[i]);
        if (!loader_store(l, &config_options[i], lua_gettop(l->L)))
            loader_complain_of_value(l, &config_options[i], lua_gettop(l->L));
        lua_pop(l->L, 1);
    }
    l->config->entrypoint_set = loader_is_set(l, "Entrypoint");
}

/* -- Names that are no options but look like one -- */

/* One edit in a short name, two in one of seven letters or more. */
static bool is_close(const char *global, const char *name)
{
    unsigned most = strlen(name) >= 7 ? 2 : 1;
    return config_check_similar(global, name) ||
           config_check_distance(global, name, most) <= most;
}

/* The option's name that `global` is close to, NULL: none, or it is an option itself. */
static const char *close_name(const struct loader *l, const char *global)
{
    const char *found = NULL;
    for (size_t i = 0; i < config_option_count; i++) {
        const char *names[4];
        names_of(l, &config_options[i], names);
        for (int n = 3; n >= 0; n--) {
            if (names[n] == NULL)
                continue;
            if (strcmp(names[n], global) == 0)
                return NULL;
            if (is_close(global, names[n]) &&
                (found == NULL || config_check_similar(global, names[n])))
                found = names[n];
        }
    }
    return found;
}

/* Said at once, on standard error when the daemon starts: most likely a slip of whoever
 * starts it. `standard` is the table of globals that were there before the file ran. */
static void warn_of_unknown_names(struct loader *l, int standard)
{
    lua_State *L = l->L;
    lua_pushglobaltable(L);
    int globals = lua_gettop(L);
    for (lua_pushnil(L); lua_next(L, globals); lua_pop(L, 1)) {
        const char *global = loader_text_at(L, lua_gettop(L) - 1);
        if (global == NULL || lua_isfunction(L, -1))
            continue;
        lua_pushvalue(L, -2);
        bool was_there = lua_rawget(L, standard) != LUA_TNIL;
        lua_pop(L, 1);
        const char *near = was_there ? NULL : close_name(l, global);
        if (near != NULL)
            log_warning("%s: %s is not an option; did you mean %s?", l->file, global,
                        near);
    }
    lua_pop(L, 1);
}

/* -- A load from beginning to end -- */

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
    loader_open_libraries(L);
    push_standard_names(L);
    int standard = lua_gettop(L);
    if (l->run && !loader_run_file(l))
        return 0;
    l->early = uses_early_names(L);
    read_options(l);
    loader_check_together(l);
    warn_of_unknown_names(l, standard);
    if (l->mistakes > 0)
        return 0;
    loader_warn_of_risks(l);
    return 0;
}

static void load_in_state(struct loader *l)
{
    lua_pushcfunction(l->L, load_protected);
    lua_pushlightuserdata(l->L, l);
    if (lua_pcall(l->L, 1, 0, 0) != LUA_OK)
        loader_complain(l, "%s", lua_tostring(l->L, -1)); /* out of memory */
    lua_close(l->L);
}

struct config *config_load(const char *file, FILE *errors)
{
    struct counted *counted = calloc(1, sizeof *counted);
    char *copy = file != NULL ? strdup(file) : NULL;
    struct loader l = {
        .file = file != NULL ? file : "defaults", .errors = errors, .run = file != NULL};
    l.L = loader_newstate(&l);
    if (counted == NULL || l.L == NULL || (file != NULL && copy == NULL)) {
        loader_complain(&l, "out of memory");
        if (l.L != NULL)
            lua_close(l.L);
        free(copy);
        free(counted);
        return NULL;
    }
    atomic_init(&counted->references, 1);
    l.config = &counted->config;
    l.config->file = copy;
    load_in_state(&l);
    if (l.warnings.len > 0 && buffer_append(&l.warnings, "", 1)) {
        l.config->warnings = l.warnings.data;
        l.warnings = (struct buffer){0};
    }
    buffer_free(&l.warnings);
    if (l.mistakes == 0)
        return l.config;
    config_log_warnings(l.config); /* a name that is ignored may explain the mistake */
    config_unref(l.config);
    return NULL;
}

void config_log_warnings(const struct config *c)
{
    log_lines(LOG_LEVEL_WARNING, c->warnings);
}

/* -- The published configuration -- */

static pthread_mutex_t publishing = PTHREAD_MUTEX_INITIALIZER;
static struct config *published;
static atomic_uint generation;

void config_publish(struct config *c)
{
    pthread_mutex_lock(&publishing);
    struct config *old = published;
    published = c;
    atomic_fetch_add_explicit(&generation, 1, memory_order_release);
    pthread_mutex_unlock(&publishing);
    if (c != NULL)
        config_log_warnings(c);
    config_unref(old);
}

struct config *config_current(void)
{
    pthread_mutex_lock(&publishing);
    struct config *c = published != NULL ? config_ref(published) : NULL;
    pthread_mutex_unlock(&publishing);
    return c;
}

unsigned config_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_acquire);
}

/* -- Comparing -- */

static bool is_equal(const struct config *a, const struct config *b,
                     const struct option *o)
{
    const void *x = loader_field(a, o), *y = loader_field(b, o);
    switch (o->kind) {
    case KIND_TEXT:
    case KIND_PATH:
        return strcmp(*(char *const *)x, *(char *const *)y) == 0;
    case KIND_BOOLEAN:
        return *(const bool *)x == *(const bool *)y;
    case KIND_BYTES:
    case KIND_SECONDS:
        return *(const int64_t *)x == *(const int64_t *)y;
    case KIND_LIST:
    case KIND_TABLE:
        return true; /* none of these is start-only */
    default:
        return *(const int *)x == *(const int *)y;
    }
}

bool config_needs_restart(const struct config *old, const struct config *new_, char *text,
                          size_t size)
{
    size_t len = 0;
    bool found = false;
    if (size > 0)
        text[0] = '\0';
    for (size_t i = 0; i < config_option_count; i++) {
        const struct option *o = &config_options[i];
        if (!o->restart || is_equal(old, new_, o))
            continue;
        if (len < size)
            len += (size_t)snprintf(text + len, size - len, "%s%s", found ? ", " : "",
                                    o->name);
        found = true;
    }
    return found;
}
