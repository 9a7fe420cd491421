/* Stands in for a bad card, a file server that does not answer, and a machine without
 * room for another thread: while there is a file of that name in $FAULTS, fsync(2)
 * ("fsync"), stat(2) of paths with "hanging" in them ("stat") and write(2) to such files
 * ("write") do not return, and no thread ("pthread_create") or process ("fork") can be
 * made; "fork once" goes with the first fork(2) that it fails. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static const char *path_of(const char *fault, char path[4096])
{
    const char *directory = getenv("FAULTS");
    snprintf(path, 4096, "%s/%s", directory == NULL ? "/nonexistent" : directory, fault);
    return path;
}

static int wanted(const char *fault)
{
    char path[4096];
    return access(path_of(fault, path), F_OK) == 0;
}

static void hang(const char *fault)
{
    while (wanted(fault))
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
}

int fsync(int fd)
{
    hang("fsync");
    return (int)syscall(SYS_fsync, fd);
}

static void look(const char *path)
{
    if (strstr(path, "hanging") != NULL)
        hang("stat");
}

int stat(const char *path, struct stat *st)
{
    look(path);
    return fstatat(AT_FDCWD, path, st, 0);
}

int stat64(const char *path, struct stat64 *st)
{
    look(path);
    return fstatat64(AT_FDCWD, path, st, 0);
}

ssize_t write(int fd, const void *data, size_t len)
{
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    path[n > 0 ? n : 0] = '\0';
    if (strstr(path, "hanging") != NULL)
        hang("write");
    return syscall(SYS_write, fd, data, len);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                   void *(*run)(void *), void *arg)
{
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return wanted("pthread_create") ? EAGAIN : real(thread, attributes, run, arg);
}

pid_t fork(void)
{
    pid_t (*real)(void);
    char path[4096];
    *(void **)&real = dlsym(RTLD_NEXT, "fork");
    if (!wanted("fork") && unlink(path_of("fork once", path)) != 0)
        return real();
    errno = EAGAIN;
    return -1;
}
