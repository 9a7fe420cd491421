/* Directories for the uploads of runs without a web server. A run holds a lock (flock(2))
 * on its own as long as it lives; one that nobody holds was left behind.
 *
 * `path` and `own` are set by the main thread before there is another, and then only
 * read. */
#include "daemon/rundir.h"

#include "base/path.h"
#include "base/tempfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX   TEMPFILE_PREFIX "run-"
#define ATTEMPTS 10

static char *path; /* of this run's; NULL: there is none */
static int own = -1;

static bool begins_with(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* Whether `fd` is a directory of this user's that no run holds. Then this one does. */
static bool take(int fd)
{
    struct stat st;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == geteuid() &&
           flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static int open_directory(int in, const char *name)
{
    return openat(in, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Only what is named as an upload: a person may have put something else there. */
static void empty(int fd)
{
    int again = open_directory(fd, ".");
    DIR *d = again < 0 ? NULL : fdopendir(again);
    if (d == NULL && again >= 0)
        close(again);
    if (d == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(d)) != NULL)
        if (begins_with(entry->d_name, TEMPFILE_PREFIX))
            unlinkat(fd, entry->d_name, 0);
    closedir(d);
}

static void sweep(const char *in)
{
    DIR *d = opendir(in);
    if (d == NULL)
        return;
    const struct dirent *entry;
    while ((entry = readdir(d)) != NULL) {
        int fd = begins_with(entry->d_name, PREFIX)
                     ? open_directory(dirfd(d), entry->d_name)
                     : -1;
        if (take(fd)) {
            empty(fd);
            unlinkat(dirfd(d), entry->d_name, AT_REMOVEDIR);
        }
        if (fd >= 0)
            close(fd);
    }
    closedir(d);
}

/* Whether the directory at `name` is the open one. */
static bool is_there(const char *name, int fd)
{
    struct stat a, b;
    return lstat(name, &a) == 0 && fstat(fd, &b) == 0 && a.st_ino == b.st_ino &&
           a.st_dev == b.st_dev;
}

/* false: another run that began at the same moment has removed it before it was locked.
 * Where there are no locks, nobody removes it, and it is good as it is. */
static bool hold(const char *name)
{
    own = open_directory(AT_FDCWD, name);
    bool locked = own >= 0 && flock(own, LOCK_EX | LOCK_NB) == 0;
    bool taken = !locked && errno == EWOULDBLOCK;
    if (!taken && own >= 0 && is_there(name, own))
        return true;
    if (own >= 0)
        close(own);
    own = -1;
    return false;
}

const char *rundir_create(const char *in)
{
    sweep(in);
    for (int i = 0; i < ATTEMPTS && path == NULL; i++) {
        char *name = path_join(in, PREFIX "XXXXXX");
        if (name == NULL || mkdtemp(name) == NULL) {
            free(name);
            return NULL;
        }
        if (hold(name)) {
            path = name;
        } else {
            rmdir(name);
            free(name);
        }
    }
    return path;
}

void rundir_remove(void)
{
    if (path == NULL)
        return;
    empty(own);
    rmdir(path);
}
