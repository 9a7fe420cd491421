/* From the values that a configuration file gives its options to struct config: one
 * function for each kind of option. Runs on the main thread; owns nothing, no locks. */
#include "base/value.h"
#include "config/loader.h"
#include "config/text.h"

#include <lauxlib.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

/* -- One value into the struct; each returns false for a value that does not fit -- */

/* The number at `index`, which the caller finds bent when it is in quotes. false: none
 * that this option takes. */
static bool number_at(lua_State *L, const struct option *o, int index, lua_Number *n,
                      bool *bent)
{
    int is_number;
    if (lua_type(L, index) != LUA_TNUMBER &&
        (!o->bends || lua_type(L, index) != LUA_TSTRING))
        return false;
    *n = lua_tonumberx(L, index, &is_number);
    *bent = lua_type(L, index) == LUA_TSTRING;
    return is_number;
}

/* Bends `n` into the option's range. false: it is too far outside, or it is a NaN. */
static bool fit_range(const struct option *o, lua_Number *n, bool *bent)
{
    if (*n >= (lua_Number)o->min && *n <= (lua_Number)o->max)
        return true;
    if (!o->bends)
        return false;
    bool low = *n < (lua_Number)o->min && *n >= (lua_Number)o->lowest;
    if (!low && !(*n > (lua_Number)o->max && *n <= (lua_Number)o->highest))
        return false;
    *n = (lua_Number)(low ? o->min : o->max);
    *bent = true;
    return true;
}

/* To the nearest integer; of two, the lower one. */
static void round_number(lua_Number *n, bool *bent)
{
    lua_Number whole = (lua_Number)(int64_t)*n, fraction = *n - whole;
    if (fraction == 0)
        return;
    *n = fraction > 0.5 ? whole + 1 : fraction <= -0.5 ? whole - 1 : whole;
    *bent = true;
}

/* Floats of integral value are integers: 64 * 2^10 is one to whoever writes it. */
static bool store_integer(struct loader *l, const struct option *o, int index)
{
    lua_Number n;
    bool bent, rounded = false;
    char used[32];
    if (!number_at(l->L, o, index, &n, &bent) || !fit_range(o, &n, &bent))
        return false;
    round_number(&n, &rounded);
    if (rounded && !o->bends)
        return false;
    if (o->kind == KIND_BYTES)
        *(int64_t *)loader_field(l->config, o) = (int64_t)n;
    else
        *(int *)loader_field(l->config, o) = (int)n;
    snprintf(used, sizeof used, "%.0f", n);
    if (bent || rounded)
        loader_warn_of_bent(l, o, index, used);
    return true;
}

/* What is more than 0 stays so: 0 would switch the limit off. */
static bool store_seconds(struct loader *l, const struct option *o, int index)
{
    lua_Number seconds;
    bool bent;
    char used[32];
    if (!number_at(l->L, o, index, &seconds, &bent) || !fit_range(o, &seconds, &bent))
        return false;
    int64_t milliseconds = (int64_t)(seconds * 1000 + 0.5);
    *(int64_t *)loader_field(l->config, o) =
        milliseconds == 0 && seconds > 0 ? 1 : milliseconds;
    snprintf(used, sizeof used, "%.14g", seconds);
    if (bent)
        loader_warn_of_bent(l, o, index, used);
    return true;
}

static bool store_boolean(struct loader *l, const struct option *o, int index)
{
    if (!lua_isboolean(l->L, index))
        return false;
    *(bool *)loader_field(l->config, o) = lua_toboolean(l->L, index);
    return true;
}

/* The text that the option's `mend` makes of the value at `index`, which may be a number.
 * Warns of it. */
static bool mend_text(struct loader *l, const struct option *o, int index, char *text,
                      size_t size)
{
    char given[32];
    const char *value = loader_text_at(l->L, index);
    if (o->mend == NULL)
        return false;
    if (value == NULL) {
        int exact;
        lua_Integer n = lua_tointegerx(l->L, index, &exact);
        if (!exact)
            return false;
        snprintf(given, sizeof given, LUA_INTEGER_FMT, n);
        value = given;
    }
    if (!o->mend(value, text, size))
        return false;
    char used[160];
    snprintf(used, sizeof used, "\"%s\"", text);
    loader_warn_of_bent(l, o, index, used);
    return true;
}

static bool store_text(struct loader *l, const struct option *o, int index)
{
    char mended[128];
    const char *text = loader_text_at(l->L, index);
    if (text == NULL || (o->check != NULL && !o->check(text))) {
        if (!mend_text(l, o, index, mended, sizeof mended))
            return false;
        text = mended;
    }
    *(char **)loader_field(l->config, o) = loader_need(l->L, strdup(text));
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
    const char *text = loader_text_at(l->L, index), *directory = start_directory();
    if (text == NULL)
        return false;
    if (text[0] == '\0' || text[0] == '/' || directory[0] == '\0')
        return store_text(l, o, index);
    size_t size = strlen(directory) + strlen(text) + 2;
    char *path = loader_need(l->L, malloc(size));
    snprintf(path, size, "%s/%s", directory, text);
    *(char **)loader_field(l->config, o) = path;
    return true;
}

static void complain_of_element(struct loader *l, const struct option *o, int index,
                                size_t number)
{
    char got[128];
    loader_complain(l, "%s[%zu]: expected %s, got %s", loader_name(l, o), number,
                    o->expected, loader_describe(l->L, index, got, sizeof got));
    l->bad[loader_row(o)] = true;
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
    char **list = loader_need(L, calloc(count + 1, sizeof *list));
    *(char ***)loader_field(l->config, o) = list;
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, index, (lua_Integer)i + 1);
        const char *text = loader_text_at(L, lua_gettop(L));
        if (text == NULL || !o->check(text))
            complain_of_element(l, o, lua_gettop(L), i + 1);
        list[i] = loader_need(L, strdup(text != NULL ? text : ""));
        lua_pop(L, 1);
    }
    return true;
}

static bool store_mode(struct loader *l, const struct option *o, int index)
{
    const char *text = loader_text_at(l->L, index);
    return text != NULL && config_check_mode(text, loader_field(l->config, o));
}

static bool store_choice(struct loader *l, const struct option *o, int index)
{
    const char *text = loader_text_at(l->L, index);
    for (const struct choice *c = o->choices; text != NULL && c->text != NULL; c++) {
        if (strcasecmp(c->text, text) == 0) {
            *(int *)loader_field(l->config, o) = c->value;
            return true;
        }
    }
    return false;
}

static bool store_secure(struct loader *l, const struct option *o, int index)
{
    enum config_secure *secure = loader_field(l->config, o);
    const char *text = loader_text_at(l->L, index);
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
    const char *name = loader_text_at(L, key);
    if (name != NULL && is_identifier(name))
        lua_pushfstring(L, "%s.%s", path, name);
    else
        lua_pushfstring(L, "%s[%s]", path, loader_describe(L, key, text, sizeof text));
}

static void explain_table(struct loader *l, int table, int seen, const char *path,
                          int depth);

/* The value at the top, found at `path`. */
static void explain_value(struct loader *l, int seen, const char *path, int depth)
{
    char text[128];
    int index = lua_gettop(l->L);
    switch (lua_type(l->L, index)) {
    case LUA_TTHREAD:
    case LUA_TUSERDATA:
    case LUA_TLIGHTUSERDATA:
        loader_complain(l, "%s: %s cannot be given to scripts", path,
                        loader_describe(l->L, index, text, sizeof text));
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
    if (type != LUA_TBOOLEAN && type != LUA_TNUMBER && type != LUA_TSTRING &&
        type != LUA_TFUNCTION)
        loader_complain(l, "%s: %s as a key cannot be given to scripts", path,
                        loader_describe(l->L, key, text, sizeof text));
}

/* Takes a field whose key or value is a function out of the table, found at `path`; the
 * key is at `key`, above it the value and the field's own path. Earlier members of the
 * family gave scripts none either, without a word. */
static bool leave_out_function(struct loader *l, int table, int key, const char *path)
{
    lua_State *L = l->L;
    bool as_key = lua_isfunction(L, key);
    if (!as_key && !lua_isfunction(L, key + 1))
        return false;
    loader_warn(l, "%s: a function%s cannot be given to scripts; it is left out",
                as_key ? path : lua_tostring(L, key + 2), as_key ? " as a key" : "");
    lua_pushvalue(L, key);
    lua_pushnil(L);
    lua_rawset(L, table);
    return true;
}

/* Complains of every value in the table that value_encode refuses, and takes functions
 * out. `seen` maps a table to true while the walk is inside it, to false after it: each
 * is walked once. */
static void explain_table(struct loader *l, int table, int seen, const char *path,
                          int depth)
{
    lua_State *L = l->L;
    luaL_checkstack(L, 16, "Config");
    lua_pushvalue(L, table);
    bool known = lua_rawget(L, seen) != LUA_TNIL, inside = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (inside)
        loader_complain(l, "%s: a table that contains itself cannot be given to scripts",
                        path);
    if (!known && depth >= VALUE_DEPTH_MAX)
        loader_complain(l, "%s: nested too deep to be given to scripts", path);
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
        if (!leave_out_function(l, table, key, path))
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
    int mistakes = l->mistakes;
    if (why != NULL) {
        lua_newtable(l->L);
        explain_table(l, index, lua_gettop(l->L), o->name, 0);
        lua_pop(l->L, 1);
        bytes.len = 0;
        why = value_encode(l->L, index, &bytes); /* without its functions */
    }
    l->config->app = bytes.data;
    l->config->app_len = bytes.len;
    if (why != NULL && l->mistakes == mistakes)
        loader_complain(l, "%s: %s cannot be given to scripts", o->name, why);
    l->bad[loader_row(o)] = why != NULL;
    return true;
}

bool loader_store(struct loader *l, const struct option *o, int index)
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
