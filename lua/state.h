/* One Lua state in use, as the pool, the worker and the facilities of scripts see it.
 *
 * A struct script is owned by the thread that has it checked out of the pool, and only
 * its owner touches it. lua/script.h makes and closes one. */
#ifndef LUAFCGID2_LUA_STATE_H
#define LUAFCGID2_LUA_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct env;
struct buffer;
struct config;
struct handles;
struct limit;
struct lua_State;
struct script;
struct source_ref;

/* Why a script could not be had or run. */
struct script_error {
    int status;    /* HTTP status of the page for it: 403, 404, 500, 504; lua/refusal.h */
    char *message; /* malloc'ed, may be NULL when out of memory; traceback after a newline
                    */
};

void state_error_clear(struct script_error *e);
void state_set_error(struct script_error *e, int status, const char *message);

/* False once any file that went into the state has changed, or the published
 * configuration is another than the one it was made with. One or two atomic loads when
 * nothing has changed since the last call. Owner only. */
bool state_is_current(struct script *s);

int state_id(const struct script *s);
const char *state_path(const struct script *s);
const char *state_root(const struct script *s);      /* document root, "" when unknown */
struct config *state_config(const struct script *s); /* borrowed */

/* What the pool keeps beside a state: its own node. */
void state_set_owner(struct script *s, void *node);
void *state_owner(const struct script *s);

/* Calls of script_run since the state was made, for LuaMaxRequests. */
unsigned state_requests(const struct script *s);

/* Notes how a request went, for LuaMaxErrors; how many failed since the last that did
 * not. */
void state_note_outcome(struct script *s, bool failed);
unsigned state_failures(const struct script *s);

/* -- For the worker -- */

/* Calls body(L) without arguments, under the limits and with errors caught. true: it
 * returned, or ended by os.exit. false: `error` is filled (500, 504). */
bool state_run(struct script *s, int (*body)(struct lua_State *),
               struct script_error *error);

/* Whether the state can serve again: false after it ran out of time or memory. */
bool state_is_usable(const struct script *s);

/* -- For what runs inside the state (lua/library.c, lua/api.c) -- */

struct script *state_of(struct lua_State *L);
struct limit *state_limit(struct script *s);
struct handles *state_handles(struct script *s);
struct buffer *state_output(struct script *s); /* a line of standard output, unfinished */
struct env *state_env(struct script *s);
const char *state_dir(const struct script *s); /* of its file, without a final slash */

/* Pushes the path of `name`, which is relative to the script's directory unless it begins
 * with a slash, and returns it. */
const char *state_push_path(struct lua_State *L, const char *name);

/* Notes that the state looked for a file in vain: it is renewed once the file is there.
 * Of very many, the first. Leaves the stack as it is. */
void state_note_absent(struct lua_State *L, const char *name);

/* Reads a file as source of this state and pushes its main chunk: 0. Otherwise pushes
 * nothing and returns the errno value of reading, or pushes a message and returns -1 when
 * it does not compile. A relative name is looked up in the script's directory. */
int state_load_file(struct lua_State *L, const char *name);

/* -- For lua/script.c -- */

/* Fills a zeroed state whose `handles` are set; it keeps a reference to `config` and
 * borrows `path` and `source`. false: out of memory, state_close all the same. */
bool state_open(struct script *s, const char *path, const struct source_ref *source,
                const char *root, struct config *config, int id);

/* Releases all but the Lua state, which is closed before, and the memory of `s`. */
void state_close(struct script *s);

/* Runs the function on the stack, under the limits. The stack is empty afterwards. */
bool state_pcall(struct script *s, struct script_error *error);

/* Logs what is left of an unfinished line on the script's standard output. */
void state_flush(struct script *s);

/* Compiles `text`, and skips a first line that begins with '#', as lua(1) does. */
int state_load_text(struct lua_State *L, const struct buffer *text, const char *name);

#endif
