/* What scripts hold of the system: open files, pipes, children.
 *
 * Lua closes a file that was forgotten when its collector comes by, and the collector
 * goes by memory alone: a thousand open files of a page that is small come first. So they
 * are counted for each state, and its garbage is collected for their sake. Where
 * descriptors or processes run out, so is that of the state that needs one, and idle
 * states are closed. */
#ifndef LUAFCGID2_LUA_HANDLE_H
#define LUAFCGID2_LUA_HANDLE_H

#include <lua.h>
#include <stdbool.h>

/* A state's. Zeroed memory is none. Touched by its owner only. */
struct handles {
    int open, kept;              /* now; after the last collection, or fewer */
    int children, children_kept; /* of these, those with a child */
};

/* Replaces the functions of io that open files, in L, a state of lua/script.c in which
 * the libraries are open and the methods of files are replaced. From then on no script
 * can change how a file is closed (__gc). Raises Lua errors; leaves the stack as it found
 * it. */
void handle_open(lua_State *L);

/* To be called before something is opened for a script: collects if there are many, and
 * makes room where there is none, which may take a moment. false, with errno: no more is
 * to be opened, as what is left is the daemon's. Raises only if the script is to end. */
bool handle_make_room(lua_State *L);

/* After a fork that failed: collects, closes idle states. Raises as above. */
void handle_make_processes(lua_State *L);

/* A pipe to a child was opened, or closed. */
void handle_note_child(lua_State *L, int change);

/* Whether so much was left open that garbage is to be collected: between requests. */
bool handle_is_due(const struct handles *h);

/* Garbage was collected. */
void handle_collected(struct handles *h);

/* The state is closed: none of its handles is left, whatever their number says, and its
 * children that were left to themselves are killed. */
void handle_forget(struct handles *h);

/* Once, before there are scripts: evict(arg) closes some idle states, at once or soon,
 * and returns whether there were any. */
void handle_set_eviction(bool (*evict)(void *arg), void *arg);

#endif
