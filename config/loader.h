/* One load of a configuration, for the config room only: what is known of it so far, and
 * the functions by which the room's files tell of it. Main thread. */
#ifndef LUAFCGID2_CONFIG_LOADER_H
#define LUAFCGID2_CONFIG_LOADER_H

#include "base/buffer.h"
#include "config.h"
#include "config/option.h"

#include <lua.h>

struct loader {
    lua_State *L;
    size_t used;       /* bytes of it */
    uint32_t deadline; /* on clock_ticks */
    bool late;         /* it was stopped at the deadline */
    const char *file;  /* as in messages */
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

/* Where an option is in the struct. */
void *loader_field(const struct config *c, const struct option *o);

/* -- config/report.c -- */

/* A mistake: a line on `errors`. */
__attribute__((format(printf, 2, 3))) void loader_complain(struct loader *l,
                                                           const char *format, ...);

/* A line for config_log_warnings: at the start the log is opened after the configuration
 * was loaded. A warning that finds no memory is lost. */
__attribute__((format(printf, 2, 3))) void loader_warn(struct loader *l,
                                                       const char *format, ...);

/* A mistake: the value at `index` does not fit the option. */
void loader_complain_of_value(struct loader *l, const struct option *o, int index);

/* A warning: the value at `index` does not fit the option, which gets `used` instead. */
void loader_warn_of_bent(struct loader *l, const struct option *o, int index,
                         const char *used);

/* The value at `index` in words, for "got ..."; may use `text`. */
const char *loader_describe(lua_State *L, int index, char *text, size_t size);

/* Out of C memory is raised as Lua's own. */
void *loader_need(lua_State *L, void *memory);

size_t loader_row(const struct option *o);

/* The name that the file's author knows the option by. */
const char *loader_name(const struct loader *l, const struct option *o);
const char *loader_called(const struct loader *l, const char *name);

bool loader_is_set(const struct loader *l, const char *name);
bool loader_is_good(const struct loader *l, const char *name);

/* The string at `index`, borrowed from Lua; NULL when it is none or has a NUL in it. */
const char *loader_text_at(lua_State *L, int index);

/* -- config/store.c -- */

/* Puts the value at `index` into the struct. false: it does not fit, and nothing was said
 * of that yet. */
bool loader_store(struct loader *l, const struct option *o, int index);

/* -- config/rules.c -- */

/* Complains of options that do not fit each other. */
void loader_check_together(struct loader *l);

/* Warns of values that are legal and that one should know of. */
void loader_warn_of_risks(struct loader *l);

/* -- config/run.c -- */

/* The Lua state of a load, with bounds on its memory and on its time, which begins now.
 * NULL: out of memory. */
lua_State *loader_newstate(struct loader *l);

/* The standard libraries but for what could end, or hold up, the daemon. */
void loader_open_libraries(lua_State *L);

/* Runs the file. false: it cannot be read or run, as was complained. */
bool loader_run_file(struct loader *l);

#endif
