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
    size_t size = strlen(directory) + strlen(path) + 2;
    char *joined = malloc(size);
    if (joined != NULL)
        snprintf(joined, size, "%s/%s", directory, path);
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
