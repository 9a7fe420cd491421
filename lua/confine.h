/* ScriptRoot: the directory that scripts must lie in. */
#ifndef LUAFCGID2_LUA_CONFINE_H
#define LUAFCGID2_LUA_CONFINE_H

#include <sys/stat.h>

/* Whether the open file `fd`, which was found at `path` and is what `st` says, lies below
 * the directory `root`. The links of both are followed now: the root may be a link that
 * has led to another directory before. 0, also without a root (NULL or ""); EACCES: it
 * does not; or ENOMEM. */
int confine_check(int fd, const char *path, const char *root, const struct stat *st);

#endif
