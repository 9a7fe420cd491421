/* The fields of a state. Only lua/state.c, lua/script.c and lua/call.c know them; all
 * others use lua/state.h. The owner of the state alone uses them. */
#ifndef LUAFCGID2_LUA_STATE_FIELDS_H
#define LUAFCGID2_LUA_STATE_FIELDS_H

#include "base/buffer.h"
#include "base/waker.h"
#include "config.h"
#include "lua/limit.h"
#include "lua/source.h"
#include "lua/wait_fields.h"

#include <lua.h>

struct script {
    struct limit limit;
    struct handles *handles; /* lua/handle.h; borrowed from lua/script.c */
    lua_State *L;
    struct config *config;           /* a reference */
    unsigned generation;             /* of the published configuration when it was made */
    const char *path;                /* of the file; borrowed from its code */
    const struct source_ref *source; /* of the file; borrowed from its code */
    struct call *call;               /* NULL between requests */
    unsigned serial;                 /* of the request */
    struct awaited awaited;          /* what the script waits for */
    struct wait wait;                /* what goes on afterwards (lua/wait.c) */
    char *root, *dir;
    int id;
    unsigned requests;
    unsigned failures; /* requests that failed, since the last that did not */
    unsigned epoch; /* of the sources (lua/source.h), when all were last seen current */
    struct source_ref
        *sources; /* all that went into the state, except the script itself */
    size_t source_count, absent; /* `absent`: those of them that are missing files */
    struct buffer output;
    struct env *env;
    void *owner;
    size_t garbage_base; /* bytes in use after the last collection */
};

#endif
