/* How require finds modules: searchers that replace those of Lua's own library. Runs
 * in the thread that owns the state; what it keeps is in upvalues of the searchers.
 *
 * package.path contains templates for the document root and the script's directory,
 * so that scripts see them and can add to them. The searchers recognize this part of
 * the path as long as it is in one piece. They do not read it as templates then, but
 * look into the two directories, whose names may contain ';' or '?'. */
#include "lua/module.h"

#include "lua/state.h"

#include <errno.h>
#include <lauxlib.h>
#include <lualib.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

/* The searchers' upvalues. */
enum { PACKAGE = 1, OWN_PATH, OWN_CPATH, LOADLIB, UPVALUES = LOADLIB };

/* What is searched: Lua modules in package.path, or C modules in package.cpath. */
struct kind {
    const char *field;
    int own;   /* upvalue: the part of the path for our own places */
    bool both; /* search the root and the directory; else one of them */
    const char *endings[3];
};

static const struct kind lua_modules = {"path", OWN_PATH, true, {".lua", "/init.lua"}};
static const struct kind c_modules = {"cpath", OWN_CPATH, false, {".so"}};

struct search {
    const struct kind *kind;
    const char *name; /* of the file: the module's, with slashes for dots */
    const char *rest; /* of the path, not searched yet */
    const char *own;
    const char *places[3]; /* NULL ends them */
    int place, ending;     /* the next of our own, while `rest` begins with them */
};

static void list_places(const struct script *s, const struct kind *kind,
                        const char *places[3])
{
    int count = 0;
    if (state_root(s)[0] != '\0')
        places[count++] = state_root(s);
    if (kind->both || count == 0)
        places[count++] = state_dir(s);
    places[count] = NULL;
}

/* Pushes two values that the search relies on: the path and the file's name. */
static struct search begin(lua_State *L, const struct kind *kind, const char *module)
{
    struct search s = {.kind = kind, .own = lua_tostring(L, lua_upvalueindex(kind->own))};
    lua_getfield(L, lua_upvalueindex(PACKAGE), kind->field);
    s.rest = lua_tostring(L, -1);
    if (s.rest == NULL)
        luaL_error(L, "'package.%s' must be a string", kind->field);
    s.name = luaL_gsub(L, module, ".", "/");
    list_places(state_of(L), kind, s.places);
    return s;
}

static bool begins_with_own(const struct search *s)
{
    size_t len = strlen(s->own);
    return len > 0 && strncmp(s->rest, s->own, len) == 0 &&
           (s->rest[len] == ';' || s->rest[len] == '\0');
}

/* Pushes the next file name in our own places. Returns false when there is no more. */
static bool push_own(lua_State *L, struct search *s)
{
    if (s->places[s->place] == NULL) {
        s->rest += strlen(s->own);
        s->place = 0;
        return false;
    }
    lua_pushfstring(L, "%s/%s%s", s->places[s->place], s->name,
                    s->kind->endings[s->ending]);
    if (s->kind->endings[++s->ending] == NULL) {
        s->ending = 0;
        s->place++;
    }
    return true;
}

/* Pushes the name of the next file to look for and returns it. At the end it pushes
 * nothing and returns NULL. */
static const char *push_next(lua_State *L, struct search *s)
{
    for (;;) {
        s->rest += strspn(s->rest, ";");
        if (*s->rest == '\0')
            return NULL;
        if (begins_with_own(s)) {
            if (push_own(L, s))
                return lua_tostring(L, -1);
            continue;
        }
        size_t len = strcspn(s->rest, ";");
        lua_pushlstring(L, s->rest, len);
        s->rest += len;
        const char *file = luaL_gsub(L, lua_tostring(L, -1), "?", s->name);
        lua_remove(L, -2);
        return file;
    }
}

/* Pops a file name and appends a line about it to the message at index `message`. */
static void note_missing(lua_State *L, int message, int error)
{
    const char *file = lua_tostring(L, -1);
    if (error == ENOENT || error == ENOTDIR)
        lua_pushfstring(L, "\n\tno file '%s'", file);
    else
        lua_pushfstring(L, "\n\tcannot read '%s': %s", file, strerror(error));
    lua_pushvalue(L, message);
    lua_insert(L, -2);
    lua_concat(L, 2);
    lua_replace(L, message);
    lua_pop(L, 1);
}

/* Whether the search goes on after this error. Any other error ends it. */
static bool is_missing(int error)
{
    return error == ENOENT || error == ENOTDIR || error == EACCES || error == EISDIR ||
           error == ENAMETOOLONG;
}

static int search_lua(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushliteral(L, "");
    struct search s = begin(L, &lua_modules, module);
    for (const char *file; (file = push_next(L, &s)) != NULL;) {
        int error = state_load_file(L, file, state_mode(L, NULL));
        if (error == 0) {
            lua_insert(L, -2);
            return 2;
        }
        if (error > 0 && !is_missing(error))
            lua_pushstring(L, strerror(error));
        if (!is_missing(error))
            return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s",
                              module, file, lua_tostring(L, -1));
        note_missing(L, 2, error);
    }
    lua_settop(L, 2);
    return 1;
}

/* Calls package.loadlib for "luaopen_NAME" in the file whose path is at index 2. Puts the
 * function at index 4; or nil, a message and the place of the failure at 4, 5 and 6. */
static bool load_function(lua_State *L, const char *name, size_t len)
{
    lua_settop(L, 3);
    lua_pushvalue(L, lua_upvalueindex(LOADLIB));
    lua_pushvalue(L, 2);
    lua_pushliteral(L, "luaopen_");
    lua_pushlstring(L, name, len);
    lua_concat(L, 2);
    lua_call(L, 2, 3);
    return !lua_isnil(L, 4);
}

/* The file's path is at index 2. As in Lua's own searcher a hyphen divides the name, and
 * the function may be named after either part. */
static int load_c(lua_State *L, const char *module)
{
    lua_settop(L, 2);
    const char *name = luaL_gsub(L, module, ".", "_"), *mark = strchr(name, '-');
    bool found = mark != NULL && load_function(L, name, (size_t)(mark - name));
    if (!found && (mark == NULL || strcmp(lua_tostring(L, 6), "init") == 0)) {
        const char *rest = mark == NULL ? name : mark + 1;
        found = load_function(L, rest, strlen(rest));
    }
    if (!found)
        return luaL_error(L, "error loading module '%s' from file '%s':\n\t%s", module,
                          lua_tostring(L, 2), lua_tostring(L, 5));
    lua_settop(L, 4);
    lua_pushvalue(L, 2);
    return 2;
}

static int search_c(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    lua_settop(L, 1);
    lua_pushliteral(L, "");
    struct search s = begin(L, &c_modules, module);
    for (const char *file; (file = push_next(L, &s)) != NULL;) {
        const char *path = state_push_path(L, file);
        int error = access(path, R_OK) == 0 ? 0 : errno;
        if (error == 0) {
            lua_replace(L, 2);
            return load_c(L, module);
        }
        lua_pop(L, 1);
        note_missing(L, 2, error);
    }
    lua_settop(L, 2);
    return 1;
}

/* The last searcher, which is called when no other has found anything. */
static int note_absent(lua_State *L)
{
    const char *module = luaL_checkstring(L, 1);
    const struct kind *const kinds[] = {&lua_modules, &c_modules};
    for (int i = 0; i < 2; i++) {
        struct search s = begin(L, kinds[i], module);
        for (const char *file; (file = push_next(L, &s)) != NULL; lua_pop(L, 1))
            state_note_absent(L, file);
    }
    return 0;
}

/* Appends the templates of `path` to the string on top, except those that begin with
 * "./". */
static void add_absolute_templates(lua_State *L, const char *path)
{
    while (*path != '\0') {
        size_t len = strcspn(path, ";");
        if (len > 0 && strncmp(path, "./", 2) != 0) {
            lua_pushlstring(L, path, len);
            lua_pushliteral(L, ";");
            lua_concat(L, 3);
        }
        path += len + (path[len] == ';');
    }
}

/* Pushes the templates for our own places. */
static void push_own_templates(lua_State *L, const struct kind *kind)
{
    const char *places[3];
    int count = 0;
    list_places(state_of(L), kind, places);
    lua_pushliteral(L, "");
    for (const char **place = places; *place != NULL; place++) {
        for (const char *const *ending = kind->endings; *ending != NULL; ending++) {
            lua_pushfstring(L, "%s%s/?%s", count++ == 0 ? "" : ";", *place, *ending);
            lua_concat(L, 2);
        }
    }
}

/* Sets the path in the table at index `package`, and pushes the part for our own
 * places. */
static void set_path(lua_State *L, int package, const struct kind *kind)
{
    push_own_templates(L, kind);
    lua_getfield(L, package, kind->field);
    lua_pushliteral(L, "");
    add_absolute_templates(L, lua_tostring(L, -2));
    lua_pushvalue(L, -3);
    lua_concat(L, 2);
    lua_setfield(L, package, kind->field);
    lua_pop(L, 1);
}

void module_open(lua_State *L)
{
    static const struct {
        int place; /* in package.searchers; Lua's own at 1 (preload) and 4 stay */
        lua_CFunction search;
    } searchers[] = {{2, search_lua}, {3, search_c}, {5, note_absent}};
    lua_getglobal(L, LUA_LOADLIBNAME);
    int package = lua_gettop(L);
    set_path(L, package, &lua_modules);
    set_path(L, package, &c_modules);
    lua_getfield(L, package, "loadlib");
    lua_getfield(L, package, "searchers");
    for (size_t i = 0; i < sizeof searchers / sizeof *searchers; i++) {
        for (int upvalue = 0; upvalue < UPVALUES; upvalue++)
            lua_pushvalue(L, package + upvalue);
        lua_pushcclosure(L, searchers[i].search, UPVALUES);
        lua_rawseti(L, -2, searchers[i].place);
    }
    lua_settop(L, package - 1);
}
