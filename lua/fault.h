/* Where an error happened: the file and line that its text speaks of. Pure; nothing
 * blocks. */
#ifndef LUAFCGID2_LUA_FAULT_H
#define LUAFCGID2_LUA_FAULT_H

#include <stddef.h>

struct fault {
    const char *path; /* borrowed from whoever gave it; NULL: not found */
    int line;         /* from 1 */
    size_t at;        /* where in the text it is named */
};

/* Looks in `text` for a line that begins with `name` as Lua writes it, which shortens
 * long ones, and with a line's number. `name` is what the text calls the file at `path`.
 * If the place is before what `fault` has, it becomes that. Zeroed memory is a fault that
 * has nothing yet.
 *
 * Only files that the caller asks for are found: a text can name any file, and a visitor
 * may have a hand in it. */
void fault_look(struct fault *fault, const char *text, const char *name,
                const char *path);

#endif
