/* The configuration: a Lua file, read into one immutable struct.
 *
 * This is the face of the folder config/. config/fields.h is the struct. config/option.c
 * is a table with a row for each option; loading, -h and the tests of config.lua and of
 * the man page follow it. A loaded configuration never changes. A reload publishes
 * another one; each reader holds a reference to the one that it uses. */
#ifndef LUAFCGID2_CONFIG_H
#define LUAFCGID2_CONFIG_H

#include "config/fields.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Runs `file` (NULL: defaults only) in a Lua state of its own. NULL on failure; `errors`
 * then has a line for each mistake: "config.lua: WorkerThreads: expected an integer from
 * 1 to 1024, got \"four\"". An unknown name that is close to an option's gives a warning
 * in the log, or on standard error while no log is open. The caller owns the result's one
 * reference. Relative paths count from the directory of the first call, so that a reload
 * finds the same files although the daemon's directory has changed. Blocks for
 * CONFIG_LOAD_TIME at most, or longer when the file calls a command or a C function that
 * blocks; daemon/loading.h limits that, too. */
struct config *config_load(const char *file, FILE *errors);

/* The same, and in `hooks` the hooks that the file has, with the Lua state that it ran
 * in, for the caller to free. NULL: it has none. `library` is for the file and its hooks;
 * it must outlive them. `hooks` itself may be NULL: then nobody wants them. */
struct config *config_load_hooks(const char *file, FILE *errors,
                                 const struct config_library *library,
                                 struct config_hooks **hooks);

/* Logs the warnings of the load: values that are legal but risky, and older names that a
 * newer one overrides. config_publish calls this. config_load does so only when it
 * refuses the file: at the start it runs before the log is open. */
void config_log_warnings(const struct config *c);

/* References are counted atomically; the last release frees. NULL may be released. */
struct config *config_ref(struct config *c);
void config_unref(struct config *c);

/* Makes `c` (NULL: none) what config_current returns, and logs its warnings; takes over
 * the caller's reference. */
void config_publish(struct config *c);

/* A reference to the published configuration, which the caller must release. */
struct config *config_current(void);

/* Changes with every config_publish. A thread that keeps a reference compares this atomic
 * number for each request, and calls config_current only when it differs. */
unsigned config_generation(void);

/* Names of start-only options that differ between the two, ", "-separated, into `text`;
 * false when there are none. */
bool config_needs_restart(const struct config *old, const struct config *new_, char *text,
                          size_t size);

/* Whether somebody may ask for the status: only then are times measured. */
bool config_wants_status(const struct config *c);

/* The path of the page for `status` in ErrorPage, borrowed; NULL: there is none. */
const char *config_error_page(const struct config *c, int status);

/* -- Hooks: functions of the file, luafcgid2-config(5) --
 *
 * They belong to one thread at a time, which alone calls these functions, except where
 * another is allowed. */

const char *config_hook_name(enum config_hook hook);

/* To be called once before the first hook. `config` is kept by the library: it must
 * outlive the hooks. false: `error` has why not. */
bool config_hooks_open(struct config_hooks *h, const struct config *config,
                       struct buffer *error);

/* Calls the hook, if there is one, with the argument `why`. It may take `timeout`
 * milliseconds (0: no limit), and has ScriptMemoryLimit. What it calls in C may block
 * longer. false: it failed, and the message with a traceback was appended to `error`. */
bool config_hooks_call(struct config_hooks *h, enum config_hook hook, const char *why,
                       int64_t timeout, struct buffer *error);

/* Milliseconds that the hook which runs in L has left; INT64_MAX: no limit. */
int64_t config_hooks_left(struct lua_State *L);

/* Raises an error when what runs in L, a hook or the file itself, has none left. To be
 * called in loops in C, as limits reach nothing else there. */
void config_hooks_check(struct lua_State *L);

/* Whatever runs, or begins, has at most `time` more milliseconds, but for CONFIG_ON_STOP.
 * Any thread. */
void config_hooks_hurry(struct config_hooks *h, int64_t time);

/* Kills the children that it reads from or writes to. Any thread; `h` may have been freed
 * meanwhile. */
void config_hooks_kill(const struct config_hooks *h);

/* Closes the Lua state. May block as config_hooks_call does. NULL is allowed. */
void config_hooks_free(struct config_hooks *h);

/* Prints every option: name, older name, default, type or range, one line of help; in at
 * most 80 columns. "*" marks those that need a restart. */
void config_print_options(FILE *out);

#endif
