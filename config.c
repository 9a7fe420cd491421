/* The configuration file, and the published configuration.
 *
 * Loading runs on the main thread, at start and on SIGHUP: the file in a Lua state that
 * lives for the load only, then one loop over the table config_options, which gives each
 * option its value through the same code, be it from the file or from the default's own
 * text. A struct config is never changed once config_load has returned it; its count of
 * references is atomic. `published` is guarded by the mutex `publishing`, held for a few
 * pointer operations; `generation` is atomic. */
#include "config.h"

#include "config_check.h"
#include "config_option.h"
#include "value.h"

#include <errno.h>
#include <inttypes.h>
#include <lauxlib.h>
#include <limits.h>
#include <lua.h>
#include <lualib.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 511

/* -- The struct: counted, freed by the same table -- */

struct counted {
    struct config config; /* first: a struct config * is a struct counted * */
    atomic_uint references;
};

static void *field(const struct config *c, const struct option *o)
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
        void *at = field(c, &config_options[i]);
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

/* -- Loading: what one load knows -- */

struct loader {
    lua_State *L;
    const char *file; /* as in messages */
    FILE *errors;
    struct config *config;
    int mistakes;
    struct buffer warnings;       /* lines, for config_log_warnings */
    bool run;                     /* there is a file to run */
    bool early;                   /* it uses the names of the first luafcgid2 */
    bool bad[CONFIG_OPTIONS_MAX]; /* a mistake was reported: not to be compared with
                                     others */
    const char *set_as[CONFIG_OPTIONS_MAX]; /* the name it was set by; NULL: default */
};

__attribute__((format(printf, 2, 3))) static void complain(struct loader *l,
                                                           const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(l->errors, "%s: ", l->file);
    vfprintf(l->errors, format, args);
    fputc('\n', l->errors);
    va_end(args);
    l->mistakes++;
}

/* Kept for later: at the start the log is opened after the configuration was loaded. A
 * warning that finds no memory is lost. */
__attribute__((format(printf, 2, 3))) static void warn(struct loader *l,
                                                       const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_printf(&l->warnings, "%s: %s\n", l->file, text);
}

/* Out of C memory is raised as Lua's own: load_protected's caller reports both. */
static void *need(lua_State *L, void *memory)
{
    if (memory == NULL)
        luaL_error(L, "out of memory");
    return memory;
}

static size_t row_of(const struct option *o)
{
    return (size_t)(o - config_options);
}

/* The name the user knows the option by. */
static const char *name_of(const struct loader *l, const struct option *o)
{
    const char *name = l->set_as[row_of(o)];
    return name != NULL ? name : o->name;
}

static bool is_set(const struct loader *l, const char *name)
{
    return l->set_as[row_of(config_option_named(name))] != NULL;
}

static bool is_good(const struct loader *l, const char *name)
{
    return !l->bad[row_of(config_option_named(name))];
}

static const char *called(const struct loader *l, const char *name)
{
    return name_of(l, config_option_named(name));
}

/* -- Messages -- */

/* A string in quotes, at most about 60 characters of it, control characters escaped. */
static void describe_string(const char *s, size_t len, char *text, size_t size)
{
    size_t at = 0;
    text[at++] = '"';
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)s[i];
        if (at + 10 > size || (at > 60 && (c & 0xc0) != 0x80)) {
            at += (size_t)snprintf(text + at, size - at, "...");
            break;
        }
        if (c == '\n' || c == '\r')
            at += (size_t)snprintf(text + at, size - at, "\\%c", c == '\n' ? 'n' : 'r');
        else if (c < 0x20 || c == 0x7f)
            at += (size_t)snprintf(text + at, size - at, "\\x%02x", c);
        else
            text[at++] = (char)c;
    }
    snprintf(text + at, size - at, "\"");
}

/* The sign of a NaN tells nobody anything. */
static void describe_float(lua_Number n, char *text, size_t size)
{
    if (n != n)
        snprintf(text, size, "nan");
    else
        snprintf(text, size, "%.14g", n);
}

static const char *describe_value(lua_State *L, int index, char *text, size_t size)
{
    size_t len;
    const char *s;
    switch (lua_type(L, index)) {
    case LUA_TSTRING:
        s = lua_tolstring(L, index, &len);
        describe_string(s, len, text, size);
        return text;
    case LUA_TNUMBER:
        if (lua_isinteger(L, index))
            snprintf(text, size, "%" PRId64, (int64_t)lua_tointeger(L, index));
        else
            describe_float(lua_tonumber(L, index), text, size);
        return text;
    case LUA_TBOOLEAN:
        return lua_toboolean(L, index) ? "true" : "false";
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        return "a userdata";
    case LUA_TTHREAD:
        return "a coroutine";
    default:
        snprintf(text, size, "a %s", luaL_typename(L, index));
        return text;
    }
}

static void note_on(lua_State *L, const struct option *o, int index, char *text,
                    size_t size)
{
    text[0] = '\0';
    bool wants_number =
        o->kind == KIND_INTEGER || o->kind == KIND_BYTES || o->kind == KIND_SECONDS;
    if (wants_number && lua_type(L, index) == LUA_TSTRING && lua_isnumber(L, index))
        snprintf(text, size, " (a string: leave out the quotes)");
    else if (o->note != NULL && lua_isinteger(L, index))
        o->note((int64_t)lua_tointeger(L, index), text, size);
}

static void complain_of_value(struct loader *l, const struct option *o, int index)
{
    char expected[256], got[128], note[160];
    note_on(l->L, o, index, note, sizeof note);
    complain(l, "%s: expected %s, got %s%s", name_of(l, o),
             config_option_expected(o, expected, sizeof expected),
             describe_value(l->L, index, got, sizeof got), note);
    l->bad[row_of(o)] = true;
}

/* -- One value into the struct; each returns false for a value that does not fit -- */

/* Floats of integral value are integers: 64 * 2^10 is one to whoever writes it. */
static bool store_integer(struct loader *l, const struct option *o, int index)
{
    int exact = 0;
    if (lua_type(l->L, index) != LUA_TNUMBER)
        return false;
    int64_t n = (int64_t)lua_tointegerx(l->L, index, &exact);
    if (!exact || n < o->min || n > o->max)
        return false;
    if (o->kind == KIND_BYTES)
        *(int64_t *)field(l->config, o) = n;
    else
        *(int *)field(l->config, o) = (int)n;
    return true;
}

/* What is more than 0 stays so: 0 would switch the limit off. */
static bool store_seconds(struct loader *l, const struct option *o, int index)
{
    if (lua_type(l->L, index) != LUA_TNUMBER)
        return false;
    lua_Number seconds = lua_tonumber(l->L, index);
    if (!(seconds >= (lua_Number)o->min && seconds <= (lua_Number)o->max))
        return false;
    int64_t milliseconds = (int64_t)(seconds * 1000 + 0.5);
    *(int64_t *)field(l->config, o) = milliseconds == 0 && seconds > 0 ? 1 : milliseconds;
    return true;
}

static bool store_boolean(struct loader *l, const struct option *o, int index)
{
    if (!lua_isboolean(l->L, index))
        return false;
    *(bool *)field(l->config, o) = lua_toboolean(l->L, index);
    return true;
}

/* The string at `index`, borrowed from Lua; NULL when it is none or has a NUL in it. */
static const char *text_at(lua_State *L, int index)
{
    size_t len;
    if (lua_type(L, index) != LUA_TSTRING)
        return NULL;
    const char *text = lua_tolstring(L, index, &len);
    return strlen(text) == len ? text : NULL;
}

static bool store_text(struct loader *l, const struct option *o, int index)
{
    const char *text = text_at(l->L, index);
    if (text == NULL || (o->check != NULL && !o->check(text)))
        return false;
    *(char **)field(l->config, o) = need(l->L, strdup(text));
    return true;
}

/* The directory of the first load: a reload finds the same files wherever the daemon
 * stands by then. Never freed; written once, by the main thread. */
static const char *start_directory(void)
{
    static char directory[PATH_MAX];
    if (directory[0] == '\0' && getcwd(directory, sizeof directory) == NULL)
        directory[0] = '\0';
    return directory;
}

static bool store_path(struct loader *l, const struct option *o, int index)
{
    const char *text = text_at(l->L, index), *directory = start_directory();
    if (text == NULL)
        return false;
    if (text[0] == '\0' || text[0] == '/' || directory[0] == '\0')
        return store_text(l, o, index);
    size_t size = strlen(directory) + strlen(text) + 2;
    char *path = need(l->L, malloc(size));
    snprintf(path, size, "%s/%s", directory, text);
    *(char **)field(l->config, o) = path;
    return true;
}

static void complain_of_element(struct loader *l, const struct option *o, int index,
                                size_t number)
{
    char got[128];
    complain(l, "%s[%zu]: expected %s, got %s", name_of(l, o), number, o->expected,
             describe_value(l->L, index, got, sizeof got));
    l->bad[row_of(o)] = true;
}

static size_t count_keys(lua_State *L, int table)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        count++;
    return count;
}

static bool store_list(struct loader *l, const struct option *o, int index)
{
    lua_State *L = l->L;
    if (!lua_istable(L, index))
        return false;
    size_t count = lua_rawlen(L, index);
    if (count_keys(L, index) != count)
        return false;
    char **list = need(L, calloc(count + 1, sizeof *list));
    *(char ***)field(l->config, o) = list;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        const char *text = text_at(L, lua_gettop(L));
        if (text == NULL || !o->check(text))
            complain_of_element(l, o, lua_gettop(L), i + 1);
        list[i] = need(L, strdup(text != NULL ? text : ""));
        lua_pop(L, 1);
    }
    return true;
}

static bool store_mode(struct loader *l, const struct option *o, int index)
{
    const char *text = text_at(l->L, index);
    return text != NULL && config_check_mode(text, field(l->config, o));
}

static bool store_choice(struct loader *l, const struct option *o, int index)
{
    const char *text = text_at(l->L, index);
    for (const struct choice *c = o->choices; text != NULL && c->text != NULL; c++) {
        if (strcasecmp(c->text, text) == 0) {
            *(int *)field(l->config, o) = c->value;
            return true;
        }
    }
    return false;
}

static bool store_secure(struct loader *l, const struct option *o, int index)
{
    enum config_secure *secure = field(l->config, o);
    const char *text = text_at(l->L, index);
    if (lua_isboolean(l->L, index))
        *secure = lua_toboolean(l->L, index) ? CONFIG_SECURE_YES : CONFIG_SECURE_NO;
    else if (text != NULL && strcasecmp(text, "auto") == 0)
        *secure = CONFIG_SECURE_AUTO;
    else
        return false;
    return true;
}

/* -- The table Config -- */

static bool is_identifier(const char *s)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
    static const char digits[] = "0123456789";
    if (s[0] == '\0' || strchr(letters, s[0]) == NULL)
        return false;
    while (*s != '\0' && (strchr(letters, *s) != NULL || strchr(digits, *s) != NULL))
        s++;
    return *s == '\0';
}

/* `path` and one key more, as Lua would write it, pushed as a string. */
static void push_path(lua_State *L, const char *path, int key)
{
    char text[128];
    const char *name = text_at(L, key);
    if (name != NULL && is_identifier(name))
        lua_pushfstring(L, "%s.%s", path, name);
    else
        lua_pushfstring(L, "%s[%s]", path, describe_value(L, key, text, sizeof text));
}

static void explain_table(struct loader *l, int table, int seen, const char *path,
                          int depth);

/* The value at the top, found at `path`. */
static void explain_value(struct loader *l, int seen, const char *path, int depth)
{
    char text[128];
    int index = lua_gettop(l->L);
    switch (lua_type(l->L, index)) {
    case LUA_TFUNCTION:
    case LUA_TTHREAD:
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        complain(l, "%s: %s cannot be given to scripts", path,
                 describe_value(l->L, index, text, sizeof text));
        break;
    case LUA_TTABLE:
        explain_table(l, index, seen, path, depth);
        break;
    default:
        break;
    }
}

static void explain_key(struct loader *l, int key, const char *path)
{
    char text[128];
    int type = lua_type(l->L, key);
    if (type != LUA_TBOOLEAN && type != LUA_TNUMBER && type != LUA_TSTRING)
        complain(l, "%s: %s as a key cannot be given to scripts", path,
                 describe_value(l->L, key, text, sizeof text));
}

/* Complains of every value in the table that value_encode refuses. `seen` maps a table to
 * true while the walk is inside it, to false after it: each is walked once. */
static void explain_table(struct loader *l, int table, int seen, const char *path,
                          int depth)
{
    lua_State *L = l->L;
    luaL_checkstack(L, 16, "Config");
    lua_pushvalue(L, table);
    bool known = lua_rawget(L, seen) != LUA_TNIL, inside = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (inside)
        complain(l, "%s: a table that contains itself cannot be given to scripts", path);
    if (!known && depth >= VALUE_DEPTH_MAX)
        complain(l, "%s: nested too deep to be given to scripts", path);
    if (known || depth >= VALUE_DEPTH_MAX)
        return;
    lua_pushvalue(L, table);
    lua_pushboolean(L, 1);
    lua_rawset(L, seen);
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1)) {
        int key = lua_gettop(L) - 1;
        explain_key(l, key, path);
        push_path(L, path, key);
        lua_pushvalue(L, key + 1);
        explain_value(l, seen, lua_tostring(L, key + 2), depth + 1);
        lua_pop(L, 2);
    }
    lua_pushvalue(L, table);
    lua_pushboolean(L, 0);
    lua_rawset(L, seen);
}

static bool store_table(struct loader *l, const struct option *o, int index)
{
    struct buffer bytes = {0};
    if (!lua_istable(l->L, index))
        return false;
    const char *why = value_encode(l->L, index, &bytes);
    l->config->app = bytes.data;
    l->config->app_len = bytes.len;
    if (why == NULL)
        return true;
    int mistakes = l->mistakes;
    lua_newtable(l->L);
    explain_table(l, index, lua_gettop(l->L), o->name, 0);
    lua_pop(l->L, 1);
    if (l->mistakes == mistakes)
        complain(l, "%s: %s cannot be given to scripts", o->name, why);
    l->bad[row_of(o)] = true;
    return true;
}

static bool store(struct loader *l, const struct option *o, int index)
{
    static bool (*const stores[])(struct loader *, const struct option *, int) = {
        [KIND_INTEGER] = store_integer, [KIND_BYTES] = store_integer,
        [KIND_SECONDS] = store_seconds, [KIND_BOOLEAN] = store_boolean,
        [KIND_TEXT] = store_text,       [KIND_PATH] = store_path,
        [KIND_LIST] = store_list,       [KIND_MODE] = store_mode,
        [KIND_CHOICE] = store_choice,   [KIND_SECURE] = store_secure,
        [KIND_TABLE] = store_table,
    };
    return stores[o->kind](l, o, index);
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
    const char *text = text_at(l->L, index);
    return name != o->name && name != o->also && text != NULL && text[0] == '\0' &&
           o->check != NULL && !o->check("");
}

/* Pushes the value the file gave the option and notes the name; false: it gave none. */
static bool push_set_value(struct loader *l, const struct option *o)
{
    const char *names[4], **set_as = &l->set_as[row_of(o)];
    names_of(l, o, names);
    for (int i = 0; i < 4; i++) {
        if (names[i] == NULL)
            continue;
        if (push_global(l->L, names[i]) == LUA_TNIL ||
            counts_as_unset(l, o, names[i], lua_gettop(l->L))) {
            lua_pop(l->L, 1);
        } else if (*set_as != NULL) {
            warn(l, "%s is ignored, because %s is set too", names[i], *set_as);
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
        if (!store(l, &config_options[i], lua_gettop(l->L)))
            complain_of_value(l, &config_options[i], lua_gettop(l->L));
        lua_pop(l->L, 1);
    }
    l->config->entrypoint_set = is_set(l, "Entrypoint");
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
        const char *global = text_at(L, lua_gettop(L) - 1);
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

/* -- Options that must fit each other -- */

/* Of two that do not fit, a default gives way to what was set. */
static void check_total_states(struct loader *l)
{
    struct config *c = l->config;
    if (!is_good(l, "LuaTotalStates") || !is_good(l, "WorkerThreads") ||
        c->lua_total_states >= c->worker_threads)
        return;
    if (!is_set(l, "LuaTotalStates"))
        c->lua_total_states = c->worker_threads;
    else if (!is_set(l, "WorkerThreads"))
        c->worker_threads = c->lua_total_states;
    else
        complain(l, "%s: expected at least %s (%d), as each worker uses a state, got %d",
                 called(l, "LuaTotalStates"), called(l, "WorkerThreads"),
                 c->worker_threads, c->lua_total_states);
}

static void check_states(struct loader *l)
{
    struct config *c = l->config;
    if (!is_good(l, "LuaStates") || !is_good(l, "LuaMaxStates") ||
        c->lua_states <= c->lua_max_states)
        return;
    if (!is_set(l, "LuaMaxStates"))
        c->lua_max_states = c->lua_states;
    else
        complain(l, "%s: expected at most %s (%d), got %d", called(l, "LuaStates"),
                 called(l, "LuaMaxStates"), c->lua_max_states, c->lua_states);
}

/* What a process cannot address anyway must not become a small number in a size_t. */
static void check_sizes(struct loader *l)
{
    int64_t *const sizes[] = {&l->config->script_memory_limit, &l->config->max_post_size,
                              &l->config->session_max_size};
    const int64_t most = PTRDIFF_MAX;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (*sizes[i] > most)
            *sizes[i] = most;
}

static void check_backlog(struct loader *l)
{
    if (l->config->backlog < 0)
        l->config->backlog = BACKLOG;
}

static void check_headers(struct loader *l)
{
    if (!is_good(l, "DefaultHeaders"))
        return;
    char *given = l->config->default_headers;
    l->config->default_headers = need(l->L, config_check_headers_normal(given));
    free(given);
}

static void check_script_root(struct loader *l)
{
    struct config *c = l->config;
    struct stat st;
    if (!is_good(l, "ScriptRoot") || c->script_root[0] == '\0')
        return;
    int error = stat(c->script_root, &st) != 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    if (error != 0)
        complain(l, "%s: expected a directory, got \"%s\": %s", called(l, "ScriptRoot"),
                 c->script_root, strerror(error));
}

/* RFC 6265bis section 4.1.2.7; browsers look at the name's case, and some do not. */
static void check_cookie_prefix(struct loader *l)
{
    struct config *c = l->config;
    if (!is_good(l, "SessionName") || !is_good(l, "SessionCookieSecure"))
        return;
    bool host = strncasecmp(c->session_name, "__Host-", 7) == 0;
    if (!host && strncasecmp(c->session_name, "__Secure-", 9) != 0)
        return;
    const char *prefix = host ? "__Host-" : "__Secure-";
    if (c->session_cookie_secure == CONFIG_SECURE_NO)
        complain(l,
                 "SessionName: a name that begins with %s needs SessionCookieSecure ="
                 " true, got false: browsers drop the cookie otherwise",
                 prefix);
    if (host && is_good(l, "SessionCookieDomain") && c->session_cookie_domain[0] != '\0')
        complain(l,
                 "SessionName: a name that begins with __Host- allows no"
                 " SessionCookieDomain, got \"%s\"",
                 c->session_cookie_domain);
    if (c->session_cookie_secure == CONFIG_SECURE_AUTO)
        c->session_cookie_secure = CONFIG_SECURE_YES;
}

static void check_same_site(struct loader *l)
{
    struct config *c = l->config;
    if (is_good(l, "SessionCookieSameSite") && is_good(l, "SessionCookieSecure") &&
        c->session_cookie_same_site == CONFIG_SAME_SITE_NONE &&
        c->session_cookie_secure != CONFIG_SECURE_YES)
        complain(l,
                 "SessionCookieSameSite: \"None\" needs SessionCookieSecure = true, got"
                 " %s: browsers drop such a cookie without Secure%s",
                 c->session_cookie_secure == CONFIG_SECURE_NO ? "false" : "\"auto\"",
                 c->session_cookie_secure == CONFIG_SECURE_NO
                     ? ""
                     : ", and \"auto\" leaves Secure out over http");
}

static void check_together(struct loader *l)
{
    static void (*const checks[])(struct loader *) = {
        check_total_states, check_states,      check_backlog,       check_sizes,
        check_headers,      check_script_root, check_cookie_prefix, check_same_site,
    };
    for (size_t i = 0; i < sizeof checks / sizeof checks[0]; i++)
        checks[i](l);
}

/* -- Values that are legal and that one should know of -- */

static void warn_of_openness(struct loader *l)
{
    const struct config *c = l->config;
    if (config_check_listen_is_public(c->listen))
        warn(l,
             "%s: FastCGI knows no passwords: whoever can connect to %s can run any"
             " script; use a firewall",
             called(l, "Listen"), c->listen);
    if (c->listen_mode & 0002)
        warn(l, "ListenMode: every user of this machine can have scripts run");
    if (c->allowed_extensions[0] == NULL)
        warn(l, "AllowedExtensions: {} lets every file be run as Lua, uploads too");
    if (c->show_errors)
        warn(l, "%s: visitors see error messages and file names",
             called(l, "ShowErrors"));
}

static void warn_of_limits(struct loader *l)
{
    const struct config *c = l->config;
    if (c->request_timeout == 0)
        warn(l, "RequestTimeout: 0 lets a script run for ever");
    if (c->script_memory_limit == 0)
        warn(l, "ScriptMemoryLimit: 0 lets a script use all memory");
    else if (c->script_memory_limit < 256 * 1024)
        warn(l, "ScriptMemoryLimit: %" PRId64 " bytes are hardly enough to load a script",
             c->script_memory_limit);
    if ((int64_t)c->body_size * c->body_sectors > 16 * 1024 * 1024)
        warn(l, "BodySize x BodySectors: %" PRId64 " bytes for each worker",
             (int64_t)c->body_size * c->body_sectors);
    if (c->min_file_info_time < 10)
        warn(l, "%s: looking at files every %d ms keeps a processor busy",
             called(l, "MinFileInfoTime"), c->min_file_info_time);
    if (c->startup_script[0] != '\0' && access(c->startup_script, R_OK) != 0)
        warn(l, "StartupScript: %s cannot be read: %s", c->startup_script,
             strerror(errno));
}

static int positive(int n)
{
    return n > 0 ? n : 0;
}

static void warn_of_sessions(struct loader *l)
{
    const struct config *c = l->config;
    int most = positive(c->session_ip_score) + positive(c->session_user_agent_score) +
               positive(c->session_language_score);
    if (c->session_target_score > most)
        warn(l, "SessionTargetScore: %d cannot be reached: all scores add up to %d",
             c->session_target_score, most);
    if (!c->session_cookie_http_only)
        warn(l, "SessionCookieHttpOnly: false lets scripts in the browser read the key");
    if (c->session_time == 0 && c->session_max_age == 0)
        warn(l, "SessionTime and SessionMaxAge: both 0, so that no session ever ends");
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

/* How Lua names the file in its messages: cut at the front when it is long. */
static void short_name(struct loader *l, char *name, size_t size)
{
    lua_Debug debug;
    lua_pushfstring(l->L, "@%s", l->file);
    luaL_loadbufferx(l->L, "", 0, lua_tostring(l->L, -1), "t");
    lua_getinfo(l->L, ">S", &debug);
    snprintf(name, size, "%s", debug.short_src);
    lua_pop(l->L, 1);
}

/* The error at the top. Lua's own begin with the file's short name and the line, and get
 * the whole name; others get it before them. */
static void complain_of_error(struct loader *l)
{
    char name[LUA_IDSIZE];
    const char *message = lua_tostring(l->L, -1);
    if (message == NULL) {
        complain(l, "the file raised an error that is no text but a %s",
                 luaL_typename(l->L, -1));
        return;
    }
    short_name(l, name, sizeof name);
    size_t len = strlen(name);
    if (strncmp(message, name, len) != 0 || message[len] != ':') {
        complain(l, "%s", message);
        return;
    }
    fprintf(l->errors, "%s%s\n", l->file, message + len);
    l->mistakes++;
}

/* Source only: damaged bytecode can crash the loader. */
static bool run_file(struct loader *l)
{
    int top = lua_gettop(l->L);
    FILE *readable = fopen(l->file, "re");
    if (readable == NULL) {
        complain(l, "cannot be read: %s", strerror(errno));
        return false;
    }
    fclose(readable);
    bool done = luaL_loadfilex(l->L, l->file, "t") == LUA_OK &&
                lua_pcall(l->L, 0, 0, 0) == LUA_OK;
    if (!done)
        complain_of_error(l);
    lua_settop(l->L, top);
    return done;
}

static int load_protected(lua_State *L)
{
    struct loader *l = lua_touserdata(L, 1);
    luaL_openlibs(L);
    push_standard_names(L);
    int standard = lua_gettop(L);
    if (l->run && !run_file(l))
        return 0;
    l->early = uses_early_names(L);
    read_options(l);
    check_together(l);
    warn_of_unknown_names(l, standard);
    if (l->mistakes > 0)
        return 0;
    warn_of_openness(l);
    warn_of_limits(l);
    warn_of_sessions(l);
    return 0;
}

static void load_in_state(struct loader *l)
{
    lua_pushcfunction(l->L, load_protected);
    lua_pushlightuserdata(l->L, l);
    if (lua_pcall(l->L, 1, 0, 0) != LUA_OK)
        complain(l, "%s", lua_tostring(l->L, -1)); /* out of memory */
    lua_close(l->L);
}

struct config *config_load(const char *file, FILE *errors)
{
    struct counted *counted = calloc(1, sizeof *counted);
    char *copy = file != NULL ? strdup(file) : NULL;
    struct loader l = {.file = file != NULL ? file : "defaults",
                       .errors = errors,
                       .run = file != NULL,
                       .L = luaL_newstate()};
    if (counted == NULL || l.L == NULL || (file != NULL && copy == NULL)) {
        complain(&l, "out of memory");
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
    const void *x = field(a, o), *y = field(b, o);
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
