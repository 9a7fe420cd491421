/* Absolute paths. Runs on any thread; owns nothing, no locks. */
#include "base/path.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *path_join(const char *directory, const char *path)
{
    if (path[0] == '/')
        return strdup(path);
    while (path[0] == '.' && path[1] == '/')
        path += 1 + strspn(path + 1, "/");
    size_t len = strlen(directory), size = len + strlen(path) + 2;
    const char *slash = len > 0 && directory[len - 1] == '/' ? "" : "/";
    char *joined = malloc(size);
    if (joined != NULL)
        snprintf(joined, size, "%s%s%s", directory, slash, path);
    return joined;
}

char *path_absolute(const char *path)
{
    char directory[PATH_MAX];
    if (path[0] == '/')
        return strdup(path);
    if (getcwd(directory, sizeof directory) == NULL)
        return NULL;
    return path_join(directory, path);
}
