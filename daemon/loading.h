/* Loading a configuration in a thread of its own.
 *
 * A configuration is a program: it may wait for a command, a device or a network, and
 * compute in functions of the C library that nothing interrupts. Whoever needs it waits
 * for LOADING_TIME at most; the thread of a load that takes longer is left to itself, and
 * what comes of it is thrown away. */
#ifndef LUAFCGID2_DAEMON_LOADING_H
#define LUAFCGID2_DAEMON_LOADING_H

#include "config.h"
#include <stdbool.h>

/* Milliseconds: a little more than the file's own time, so that its message is heard. */
enum { LOADING_TIME = CONFIG_LOAD_TIME + 2000 };

struct loading;

/* Begins to load `file` (NULL: the defaults only). NULL: out of memory. Where no thread
 * can be made, it is done before this returns. */
struct loading *loading_begin(const char *file);

/* Waits for at most `timeout` milliseconds. true: loading_end has a result, be it that
 * its time is over. */
bool loading_wait(struct loading *l, int64_t timeout);

/* The configuration, whose reference is the caller's; NULL with `errors`, to be freed by
 * the caller: what is wrong with it, in lines, or NULL without memory for that. Never
 * blocks: a load that has not come to its end has taken too long. Frees `l`. */
struct config *loading_end(struct loading *l, char **errors);

/* begin, wait and end in one. */
struct config *loading_run(const char *file, char **errors);

#endif
