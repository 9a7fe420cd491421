/* The option ErrorPage, a table of paths by status: from the file to a list in the
 * struct. Runs on the thread that loads; freeing on any thread that has the last
 * reference. Owns nothing, no locks. */
#include "config/pages.h"

#include "base/path.h"
#include "config/report.h"

#include <stdlib.h>
#include <string.h>

void pages_prepare(lua_State *L)
{
    for (size_t i = 0; i < option_count; i++) {
        if (option_rows[i].kind != OPTION_PAGES)
            continue;
        lua_newtable(L);
        lua_setglobal(L, option_rows[i].name);
    }
}

static void complain(struct loader *l, const struct option_row *o, const char *expected,
                     int index)
{
    char key[128], got[128];
    report_complain(l, "%s[%s]: expected %s, got %s", loader_name(l, o),
                    report_describe(l->L, lua_gettop(l->L) - 1, key, sizeof key),
                    expected, report_describe(l->L, index, got, sizeof got));
    l->bad[loader_row(o)] = true;
}

/* Checks the key and the value that are on top. false: a mistake was reported. */
static bool is_page(struct loader *l, const struct option_row *o)
{
    int value = lua_gettop(l->L), key = value - 1;
    lua_Integer status = lua_isinteger(l->L, key) ? lua_tointeger(l->L, key) : 0;
    const char *path = loader_text_at(l->L, value);
    if (status < 400 || status > 599)
        complain(l, o, "a status from 400 to 599", key);
    else if (path == NULL || path[0] == '\0')
        complain(l, o, "the path of a page", value);
    else
        return true;
    return false;
}

static int compare(const void *a, const void *b)
{
    return ((const struct config_page *)a)->status -
           ((const struct config_page *)b)->status;
}

static size_t count_elements(lua_State *L, int table)
{
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        count++;
    return count;
}

bool pages_store(struct loader *l, const struct option_row *o, int index)
{
    lua_State *L = l->L;
    if (!lua_istable(L, index))
        return false;
    struct config_page *pages =
        loader_need(L, calloc(count_elements(L, index) + 1, sizeof *pages));
    *(struct config_page **)loader_field(l->config, o) = pages;
    size_t count = 0;
    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (!is_page(l, o))
            continue;
        char *path = path_join(loader_directory(), lua_tostring(L, -1));
        pages[count++] = (struct config_page){(int)lua_tointeger(L, -2), path};
        loader_need(L, path);
    }
    qsort(pages, count, sizeof *pages, compare);
    return true;
}

void pages_free(void *field)
{
    struct config_page *pages = *(struct config_page **)field;
    for (struct config_page *p = pages; p != NULL && p->status != 0; p++)
        free(p->path);
    free(pages);
}
