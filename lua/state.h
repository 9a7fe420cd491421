/* One Lua state in use, as the pool, the worker and the facilities of scripts see it.
 *
 * The thread that has a struct script checked out of the pool owns it, and only the
 * owner uses it. lua/script.h makes and closes states. */
#ifndef LUAFCGID2_LUA_STATE_H
#define LUAFCGID2_LUA_STATE_H

#include <stdbool.h>
#include <stddef.h>

struct env;
struct awaited;
struct wait;
struct buffer;
struct config;
struct handles;
struct limit;
struct lua_State;
struct script;
struct source_ref;

/* Why a script could not be had or run. */
struct script_error {
    int status;    /* HTTP status of the page: 403, 404, 500, 504, or a refusal's
                      (lua/refusal.h) */
    char *message; /* malloc'ed; NULL when out of memory. A traceback follows after a
                      newline */
    char *file;    /* malloc'ed: where the message says that it happened; NULL: unknown */
    int line;      /* of that */
};

void state_error_clear(struct script_error *e);
void state_set_error(struct script_error *e, int status, const char *message);

/* Notes that the message speaks of that line of that file, of which a copy is kept. */
void state_set_fault(struct script_error *e, const char *file, int line);

/* Returns false once a file that went into the state has changed, or another
 * configuration has been published. Costs one or two atomic loads when nothing has
 * changed since the last call. */
bool state_is_current(struct script *s);

int state_id(const struct script *s);
const char *state_path(const struct script *s);
const char *state_root(const struct script *s);      /* document root, "" when unknown */
struct config *state_config(const struct script *s); /* borrowed */

/* A pointer that the pool keeps with a state: its own node. */
void state_set_owner(struct script *s, void *node);
void *state_owner(const struct script *s);

/* Returns how many requests the state has served, for LuaMaxRequests. */
unsigned state_requests(const struct script *s);

/* Returns the bytes that the state has now. By its owner. */
size_t state_memory(const struct script *s);

/* Notes how a request ended, for LuaMaxErrors; and how many have failed since the last
 * one that did not. */
void state_note_outcome(struct script *s, bool failed);
unsigned state_failures(const struct script *s);

/* -- For the worker -- */

enum state_outcome { STATE_DONE, STATE_EXITED, STATE_FAILED, STATE_WAITS };

/* Calls body(L) without arguments, under the limits, in the coroutine that scripts take
 * for the main one. The body calls the script by lua_pcallk with the message handler
 * state_add_traceback, and returns nothing, or the text of an error. Returns STATE_DONE
 * when the body returned, STATE_EXITED after os.exit, STATE_FAILED with `error` filled
 * (500, 504, a refusal's status). With `may_wait` it returns STATE_WAITS when the script
 * is in limit_wait. */
enum state_outcome state_run(struct script *s, int (*body)(struct lua_State *),
                             bool may_wait, struct script_error *error);

/* Goes on with a script that waits. Any thread that owns the state may do so. */
enum state_outcome state_go_on(struct script *s, struct script_error *error);

/* A message handler, which makes of any error value a text with a traceback. */
int state_add_traceback(struct lua_State *L);

/* Whether the state can serve again: not after it ran out of time or memory. */
bool state_is_usable(const struct script *s);

/* What a script that is in limit_wait waits for (lua/wait.h). Whoever ends the wait says
 * in it what has come. */
struct awaited *state_awaited(struct script *s);

/* For lua/wait.c (lua/wait_fields.h). */
struct wait *state_wait(struct script *s);

/* -- For what runs inside the state -- */

struct script *state_of(struct lua_State *L);
struct limit *state_limit(struct script *s);
struct handles *state_handles(struct script *s);
struct buffer *state_output(
    struct script *s); /* the unfinished line of standard output */
struct env *state_env(struct script *s);
const char *state_dir(const struct script *s); /* of its file, without a final slash */

/* The argument `index` of a function, a path. An empty one, and one with a NUL, where the
 * system would see its end, raise an error. */
const char *state_check_path(struct lua_State *L, int index);

/* Pushes the path of `name` and returns it. `name` is relative to the script's directory
 * unless it begins with a slash. */
const char *state_push_path(struct lua_State *L, const char *name);

/* Notes that the state did not find a file: it is renewed when the file appears. Only the
 * first 256 files of a state are noted. Leaves the stack as it is. */
void state_note_absent(struct lua_State *L, const char *name);

/* Reads a file as a source of this state and appends its content to `text`. 0, or an
 * errno value. A relative name is looked up in the script's directory. */
int state_read_file(struct lua_State *L, const char *name, struct buffer *text);

/* The same, and pushes its main chunk. `mode` is that of lua_load. Returns 0; or an
 * errno value with nothing pushed, when it cannot be read; or -1 with a message pushed,
 * when it does not compile. */
int state_load_file(struct lua_State *L, const char *name, const char *mode);

/* What may be loaded of a script's chunk: source ("t"), bytecode ("b"), "bt" or "" for
 * nothing. `asked` is the mode that the script gave, or NULL; bytecode takes
 * AllowBytecode. Constant. */
const char *state_mode(struct lua_State *L, const char *asked);

/* -- For lua/script.c -- */

/* Fills a zeroed state whose `handles` are set. It keeps a reference to `config`, and
 * borrows `path` and `source`. Returns false when out of memory; state_close is to be
 * called then, too. */
bool state_open(struct script *s, const char *path, const struct source_ref *source,
                const char *root, struct config *config, int id);

/* From now on the state is not current: no request follows the one that it was made for.
 */
void state_serve_once(struct script *s);

/* Releases all that the state holds but the Lua state, which is closed before, and the
 * memory of `s` itself. */
void state_close(struct script *s);

/* Runs the function that is alone on the stack, as state_run does. The stack is empty
 * afterwards. */
bool state_pcall(struct script *s, struct script_error *error);

/* Logs the unfinished line of standard output, if there is one. */
void state_flush(struct script *s);

/* Compiles `text` and returns as lua_load does. Skips a first line that begins with '#',
 * as lua(1) does. */
int state_load_text(struct lua_State *L, const struct buffer *text, const char *name,
                    const char *mode);

#endif
