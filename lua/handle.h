/* What scripts hold of the system: open files, pipes, children.
 *
 * Lua closes a forgotten file when it collects garbage, but it collects when memory
 * grows, not when files do: a small page could leave a thousand files open. So handles
 * are counted for each state, and its garbage is collected when they are many. When
 * descriptors or processes run out, the garbage of the state that needs one is
 * collected, and idle states are closed. */
#ifndef LUAFCGID2_LUA_HANDLE_H
#define LUAFCGID2_LUA_HANDLE_H

#include <lua.h>
#include <stdbool.h>
#include <stdio.h>

/* Those of one state; its owner alone uses them. Zeroed memory means none. */
struct handles {
    int open, kept; /* now; after the last collection, as far as still open */
    int children, children_kept; /* the same of those that are pipes to a child */
};

/* Replaces the functions of io that open files, in L, a state of lua/script.c in which
 * the libraries are open and the methods of files are replaced. From then on no script
 * can change how a file is closed (__gc). Raises Lua errors; leaves the stack as it found
 * it. */
void handle_open(lua_State *L);

/* To be called before something is opened for a script. Collects garbage if handles are
 * many, and makes room when descriptors run out, which may take CLOSING (lua/handle.c).
 * Returns false with errno when nothing more may be opened, as the rest is for the
 * daemon. Raises only if the script is to end. */
bool handle_make_room(lua_State *L);

/* To be called after a failed fork: collects garbage and closes idle states. Raises as
 * above. */
void handle_make_processes(lua_State *L);

/* Opens a regular file to be read, counts it, and pushes the handle that closes it. NULL
 * with errno: not possible (EISDIR: it is something else), and nothing is pushed. Does
 * not wait for a FIFO. Raises as above. */
FILE *handle_push_file(lua_State *L, const char *path);

/* Closes such a file before Lua's collector does. */
void handle_close_file(lua_State *L, int index);

/* Notes that a pipe to a child was opened (`change` 1) or closed (-1). */
void handle_note_child(lua_State *L, int change);

/* Whether so many handles are open that garbage should be collected. Between requests. */
bool handle_is_due(const struct handles *h);

/* Notes that garbage was collected. */
void handle_collected(struct handles *h);

/* Notes that the state was closed: none of its handles is open any more, whatever was
 * counted. Kills the children that went on when their pipes were forgotten. */
void handle_forget(struct handles *h);

/* Sets how idle states are closed; once, before there are scripts. evict(arg) has some of
 * them closed, at once or soon, and returns whether any are being closed, these or
 * others. */
void handle_set_eviction(bool (*evict)(void *arg), void *arg);

#endif
