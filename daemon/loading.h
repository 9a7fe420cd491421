/* Loading a configuration in a thread of its own.
 *
 * A configuration is a program: it may wait for a command, a device or a network, and
 * compute in functions of the C library that nothing interrupts. The main thread waits
 * for LOADING_TIME at most. If a load takes longer, its thread goes on alone, and its
 * result is thrown away. */
#ifndef LUAFCGID2_DAEMON_LOADING_H
#define LUAFCGID2_DAEMON_LOADING_H

#include "config.h"
#include <stdbool.h>

/* Milliseconds. A little more than the file itself may take, so that the message about
 * the file comes first. */
enum { LOADING_TIME = CONFIG_LOAD_TIME + 2000 };

struct loading;

/* Begins to load `file` (NULL: the defaults only), and its hooks if they are wanted.
 * NULL: out of memory. If no thread can be made, the load is done before this returns. */
struct loading *loading_begin(const char *file, bool wants_hooks);

/* Waits for at most `timeout` milliseconds. true: call loading_end, because the load is
 * done or its time is over. */
bool loading_wait(struct loading *l, int64_t timeout);

/* The configuration; the reference is the caller's. NULL if it is wrong: then `errors`
 * says why, in lines, and the caller frees it; without memory it is NULL. `hooks` gets
 * those of the file, or NULL, and they are the caller's; NULL: none were asked for. Never
 * blocks: a load that is not done has taken too long. Frees `l`. */
struct config *loading_end(struct loading *l, char **errors, struct config_hooks **hooks);

/* Whether no load still runs that loading_end has given up. Else exit(3) may wait for a
 * file that it reads. */
bool loading_is_over(void);

/* begin, wait and end in one. */
struct config *loading_run(const char *file, char **errors, struct config_hooks **hooks);

#endif
