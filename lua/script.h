/* Scripts: compiling a file, and making, collecting and closing the states of it.
 *
 * Creating and closing run Lua and may take long: never call them with a lock held. */
#ifndef LUAFCGID2_LUA_SCRIPT_H
#define LUAFCGID2_LUA_SCRIPT_H

#include "config.h"
#include "lua/call.h"
#include "lua/state.h"

struct script_code; /* a file, compiled once for its clones; immutable, counted */

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

/* Serves a request: sets Env and its kin, calls the entry point, and makes the string
 * that it returns the body if it has sent none. false: `error` is filled. */
bool script_serve(struct script *s, struct call *call, struct script_error *error);

/* Collects garbage when enough has piled up: to be called after the response is out. */
void script_collect(struct script *s);

#endif
