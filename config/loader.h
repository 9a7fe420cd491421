/* One load of a configuration: what is known of it so far. For the files of this folder
 * only. It belongs to the thread that loads; nothing here blocks. */
#ifndef LUAFCGID2_CONFIG_LOADER_H
#define LUAFCGID2_CONFIG_LOADER_H

#include "base/buffer.h"
#include "config/engine.h"
#include "config/fields.h"
#include "config/option.h"

#include <lua.h>
#include <stdio.h>

struct loader {
    struct engine *engine;
    lua_State *L;     /* the engine's */
    const char *file; /* as in messages */
    FILE *errors;
    struct config *config;
    const struct config_library *library; /* or NULL */
    int mistakes;
    struct buffer warnings; /* lines, for config_log_warnings */
    bool run;               /* there is a file to run */
    bool early;             /* it uses the names of the first luafcgid2 */
    bool bad[OPTIONS_MAX];  /* a mistake was reported: not compared with other options */
    const char *set_as[OPTIONS_MAX]; /* the name it was set by; NULL: default */
};

/* Where the option is in the struct. */
void *loader_field(const struct config *c, const struct option_row *o);

/* The row's number, for the arrays above. */
size_t loader_row(const struct option_row *o);

/* The name by which the file sets the option. loader_called takes its name of today. */
const char *loader_name(const struct loader *l, const struct option_row *o);
const char *loader_called(const struct loader *l, const char *name);

/* Whether the file set the option of that name; whether no mistake in it was reported. */
bool loader_is_set(const struct loader *l, const char *name);
bool loader_is_good(const struct loader *l, const char *name);

/* The directory of the first load, from which relative paths count; "" if unknown. */
const char *loader_directory(void);

/* `memory`, or Lua's error "out of memory" where it is NULL. */
void *loader_need(lua_State *L, void *memory);

/* The string at `index`, which Lua owns. NULL: it is no string, or has a NUL in it. */
const char *loader_text_at(lua_State *L, int index);

#endif
