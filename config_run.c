/* Running the configuration file, in the Lua state of its load. Main thread. */
#include "config_loader.h"

#include <errno.h>
#include <lauxlib.h>
#include <string.h>

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
        loader_complain(l, "the file raised an error that is no text but a %s",
                        luaL_typename(l->L, -1));
        return;
    }
    short_name(l, name, sizeof name);
    size_t len = strlen(name);
    if (strncmp(message, name, len) != 0 || message[len] != ':') {
        loader_complain(l, "%s", message);
        return;
    }
    fprintf(l->errors, "%s%s\n", l->file, message + len);
    l->mistakes++;
}

/* Source only: damaged bytecode can crash the loader. */
bool loader_run_file(struct loader *l)
{
    int top = lua_gettop(l->L);
    FILE *readable = fopen(l->file, "re");
    if (readable == NULL) {
        loader_complain(l, "cannot be read: %s", strerror(errno));
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
