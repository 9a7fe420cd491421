/* One script in memory: a Lua state with a file's main chunk run in it.
 *
 * A struct script is owned by the thread that has it checked out of the pool, and only
 * its owner touches it. Creating and closing run Lua and may take long: never call them
 * with a lock held. */
#ifndef LUAFCGID2_LUA_SCRIPT_H
#define LUAFCGID2_LUA_SCRIPT_H

#include "config.h"
#include <stdbool.h>
#include <stdint.h>

struct lua_State;
struct script_code; /* a file, compiled once for its clones; immutable, counted */
struct script;

/* Why a script could not be had or run. */
struct script_error {
    int status;    /* HTTP status of the page for it: 403, 404, 500, 504; lua/refusal.h */
    char *message; /* malloc'ed, may be NULL when out of memory; traceback after a newline
                    */
};

void script_error_clear(struct script_error *e);

/* Reads and compiles a file, under the limits of `config` and the calling thread's time.
 * NULL with `error` filled when it cannot be read (404, 403), or there is no time to
 * compile it (504): nothing of that is remembered. A file that was read but does not
 * compile gives a code too, one that knows only its version and its error. */
struct script_code *script_compile(const char *path, const struct config *config,
                                   struct script_error *error);

/* NULL, or why the file does not compile (status 500), borrowed. */
const struct script_error *script_code_error(const struct script_code *code);

struct script_code *script_code_ref(struct script_code *code);
void script_code_unref(struct script_code *code);
bool script_code_is_current(const struct script_code *code);

/* A new state that has run the StartupScript and the file. `root` is the document root;
 * `id` the state's number within its script (Info.State). Runs under the time and memory
 * limits of `config`, of which it keeps a reference. NULL with `error` filled. */
struct script *script_create(struct script_code *code, const char *root,
                             struct config *config, int id, struct script_error *error);

void script_close(struct script *s);

/* False once any file that went into the state has changed, or the published
 * configuration is another than the one it was made with. One or two atomic loads when
 * nothing has changed since the last call. Owner only. */
bool script_is_current(struct script *s);

int script_id(const struct script *s);
const char *script_path(const struct script *s);
const char *script_root(const struct script *s);      /* document root, "" when unknown */
struct config *script_config(const struct script *s); /* borrowed */

/* What the pool keeps beside a state: its own node. */
void script_set_owner(struct script *s, void *node);
void *script_owner(const struct script *s);

/* Calls of script_run since the state was made, for LuaMaxRequests. */
unsigned script_requests(const struct script *s);

/* Notes how a request went, for LuaMaxErrors; how many failed since the last that did
 * not. */
void script_note_outcome(struct script *s, bool failed);
unsigned script_failures(const struct script *s);

/* -- For the worker -- */

/* Calls body(L) without arguments, under the limits and with errors caught. true: it
 * returned, or ended by os.exit. false: `error` is filled (500, 504). */
bool script_run(struct script *s, int (*body)(struct lua_State *),
                struct script_error *error);

/* Collects garbage when enough has piled up: to be called after the response is out. */
void script_collect(struct script *s);

/* Whether the state can serve again: false after it ran out of time or memory. */
bool script_is_usable(const struct script *s);

/* -- For what runs inside the state (lua/library.c, lua/api.c) -- */

struct script *script_of(struct lua_State *L);
struct limit *script_limit(struct script *s);
struct handles *script_handles(struct script *s);
struct buffer *script_output(
    struct script *s); /* a line of standard output, unfinished */
struct api *script_api(struct script *s);
const char *script_dir(const struct script *s); /* of its file, without a final slash */

/* Pushes the path of `name`, which is relative to the script's directory unless it begins
 * with a slash, and returns it. */
const char *script_push_path(struct lua_State *L, const char *name);

/* Notes that the state looked for a file in vain: it is renewed once the file is there.
 * Of very many, the first. Leaves the stack as it is. */
void script_note_absent(struct lua_State *L, const char *name);

/* Reads a file as source of this state and pushes its main chunk: 0. Otherwise pushes
 * nothing and returns the errno value of reading, or pushes a message and returns -1 when
 * it does not compile. A relative name is looked up in the script's directory. */
int script_load_file(struct lua_State *L, const char *name);

#endif
