/* Paths that stay right when the daemon's directory changes. Links are not resolved, as
 * they may lead elsewhere by the time of use. */
#ifndef LUAFCGID2_BASE_PATH_H
#define LUAFCGID2_BASE_PATH_H

/* `path` as seen from `directory`, without "./" at its front; a copy of it when it is
 * absolute. The caller frees the result. NULL: out of memory. */
char *path_join(const char *directory, const char *path);

/* The same from the process's directory. NULL: see errno. May block as the file system
 * does. */
char *path_absolute(const char *path);

#endif
