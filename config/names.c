/* The names of an option in a file: today's, those of earlier programs of the family, and
 * slips. Runs on the thread that loads; owns nothing, no locks. */
#include "config/names.h"

#include "config/report.h"
#include "config/text.h"

#include <string.h>

/* Raw access: a file may give its globals a metatable that refuses unknown names. */
static int push_global(lua_State *L, const char *name)
{
    lua_pushglobaltable(L);
    lua_pushstring(L, name);
    int type = lua_rawget(L, -2);
    lua_remove(L, -2);
    return type;
}

/* The first luafcgid2 had lower-case names of its own, and its `states` meant something
 * else than luafcgid's. A file that sets `threads` or `maxstates` is one of these. */
bool names_are_early(lua_State *L)
{
    bool early = push_global(L, "threads") == LUA_TNUMBER;
    early = push_global(L, "maxstates") == LUA_TNUMBER || early;
    lua_pop(L, 2);
    return early;
}

static bool is_early_name(const char *name)
{
    for (size_t i = 0; i < option_count; i++)
        if (option_rows[i].early != NULL && strcmp(option_rows[i].early, name) == 0)
            return true;
    return false;
}

/* The names an option may go by in this file, the newest first. */
static void names_of(const struct loader *l, const struct option_row *o,
                     const char *names[4])
{
    bool taken =
        o->older != NULL && ((l->early && is_early_name(o->older)) ||
                             (o->also != NULL && strcmp(o->older, o->also) == 0));
    names[0] = o->name;
    names[1] = o->also;
    names[2] = taken ? NULL : o->older;
    names[3] = l->early ? o->early : NULL;
}

/* luafcgid took "" as a string that is not set. So do we, under its names, where "" is no
 * good value. */
static bool counts_as_unset(const struct loader *l, const struct option_row *o,
                            const char *name, int index)
{
    const char *text = loader_text_at(l->L, index);
    return name != o->name && name != o->also && text != NULL && text[0] == '\0' &&
           o->check != NULL && !o->check("");
}

bool names_push_value(struct loader *l, const struct option_row *o)
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
            report_warn(l, "%s is ignored, because %s is set too", names[i], *set_as);
            lua_pop(l->L, 1);
        } else {
            *set_as = names[i];
        }
    }
    return *set_as != NULL;
}

/* One edit in a short name, two in one of seven letters or more. */
static bool is_close(const char *global, const char *name)
{
    unsigned most = strlen(name) >= 7 ? 2 : 1;
    return text_similar(global, name) || text_distance(global, name, most) <= most;
}

const char *names_close_to(const struct loader *l, const char *global)
{
    const char *found = NULL;
    for (size_t i = 0; i < option_count; i++) {
        const char *names[4];
        names_of(l, &option_rows[i], names);
        for (int n = 3; n >= 0; n--) {
            if (names[n] == NULL)
                continue;
            if (strcmp(names[n], global) == 0)
                return NULL;
            if (is_close(global, names[n]) &&
                (found == NULL || text_similar(global, names[n])))
                found = names[n];
        }
    }
    return found;
}
