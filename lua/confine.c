/* ScriptRoot. Runs in the thread that reads a file; keeps nothing. */
#include "lua/confine.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Writes where an open file is, every link followed, to `resolved` (PATH_MAX bytes). The
 * kernel can tell for a descriptor. Where it does not, the path is followed once more,
 * and counts only if it leads to the file that is open. */
static bool resolve(int fd, const char *path, const struct stat *st, char *resolved)
{
#ifdef __linux__
    char link[sizeof "/proc/self/fd/" + 3 * sizeof fd];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, resolved, PATH_MAX);
    if (n > 0 && n < PATH_MAX && resolved[0] == '/') {
        resolved[n] = '\0';
        return true;
    }
#else
    (void)fd;
#endif
    struct stat there;
    return realpath(path, resolved) != NULL && lstat(resolved, &there) == 0 &&
           there.st_dev == st->st_dev && there.st_ino == st->st_ino;
}

static bool is_inside(const char *resolved, const char *root)
{
    size_t len = strlen(root);
    while (len > 0 && root[len - 1] == '/')
        len--;
    return strncmp(resolved, root, len) == 0 && resolved[len] == '/';
}

int confine_check(int fd, const char *path, const char *root, const struct stat *st)
{
    if (root == NULL || *root == '\0')
        return 0;
    char *resolved = malloc(PATH_MAX), *resolved_root = realpath(root, NULL);
    int error = resolved == NULL        ? ENOMEM
                : resolved_root == NULL ? EACCES
                : !resolve(fd, path, st, resolved) || !is_inside(resolved, resolved_root)
                    ? EACCES
                    : 0;
    free(resolved_root);
    free(resolved);
    return error;
}
