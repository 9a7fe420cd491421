/* Scripts: compiling a file, and making, collecting and closing its states.
 *
 * All of these run Lua and may take long: never call them with a lock held. */
#ifndef LUAFCGID2_LUA_SCRIPT_H
#define LUAFCGID2_LUA_SCRIPT_H

#include "config.h"
#include "lua/call.h"
#include "lua/state.h"

struct script_code; /* a file, compiled once for all its states; immutable, counted */

/* Reads and compiles a file, under the memory limit of `config` and the time limit of the
 * calling thread. Returns NULL with `error` filled when the file cannot be read (404,
 * 403), or there is no time to compile it (504). A file that does not compile gives a
 * code as well, which holds the error and tells when the file has changed. */
struct script_code *script_compile(const char *path, const struct config *config,
                                   struct script_error *error);

/* Returns why the file does not compile (status 500, borrowed), or NULL. */
const struct script_error *script_code_error(const struct script_code *code);

struct script_code *script_code_ref(struct script_code *code);
void script_code_unref(struct script_code *code);
bool script_code_is_current(const struct script_code *code);

/* Returns a new state that has run the StartupScript and the file. `root` is the document
 * root, `id` the state's number within its script (Info.State). The state keeps a
 * reference to `config`; its limits hold while it is made, too. NULL with `error` filled
 * when that fails. */
struct script *script_create(struct script_code *code, const char *root,
                             struct config *config, int id, struct script_error *error);

void script_close(struct script *s);

/* Serves a request, as api_serve (lua/api.h) says. Returns false with `error` filled when
 * it fails. */
bool script_serve(struct script *s, struct call *call, struct script_error *error);

/* Goes on with a script that waits (call->waits), as api_go_on says. By any thread that
 * owns the state. */
bool script_go_on(struct script *s, struct call *call, struct script_error *error);

/* The most memory that the state has had since its last request began, in bytes. */
size_t script_peak(const struct script *s);

/* Collects garbage if there is enough of it. To be called after the response has gone
 * out. */
void script_collect(struct script *s);

#endif
