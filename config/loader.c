/* What the other files of this folder ask of a load. Runs on the thread that loads; owns
 * the directory of the first load; no locks. */
#include "config/loader.h"

#include <lauxlib.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

void *loader_field(const struct config *c, const struct option_row *o)
{
    return (char *)(uintptr_t)c + o->offset;
}

void *loader_need(lua_State *L, void *memory)
{
    if (memory == NULL)
        luaL_error(L, "out of memory");
    return memory;
}

size_t loader_row(const struct option_row *o)
{
    return (size_t)(o - option_rows);
}

const char *loader_name(const struct loader *l, const struct option_row *o)
{
    const char *name = l->set_as[loader_row(o)];
    return name != NULL ? name : o->name;
}

bool loader_is_set(const struct loader *l, const char *name)
{
    return l->set_as[loader_row(option_named(name))] != NULL;
}

bool loader_is_good(const struct loader *l, const char *name)
{
    return !l->bad[loader_row(option_named(name))];
}

const char *loader_called(const struct loader *l, const char *name)
{
    return loader_name(l, option_named(name));
}

/* The directory of the first load, so that a reload finds the same files although the
 * daemon's directory has changed. Loads follow one another, so it needs no lock. */
const char *loader_directory(void)
{
    static char directory[PATH_MAX];
    if (directory[0] == '\0' && getcwd(directory, sizeof directory) == NULL)
        directory[0] = '\0';
    return directory;
}

const char *loader_text_at(lua_State *L, int index)
{
    size_t len;
    if (lua_type(L, index) != LUA_TSTRING)
        return NULL;
    const char *text = lua_tolstring(L, index, &len);
    return strlen(text) == len ? text : NULL;
}
