/* The file that holds the daemon's process id.
 *
 * Only the main thread runs this, at the start and at the end, so there is no lock. It
 * owns the open descriptor whose flock(2) tells other daemons that this one lives. The
 * descriptor is closed on exec, so a script's child cannot keep the lock after the daemon
 * is gone. */
#include "daemon/pidfile.h"

#include "base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int pidfile_fd = -1;
static char *pidfile_path;

/* Whether the path still leads to the open file. */
static bool same_file(int fd, const char *path)
{
    struct stat opened, named;
    return fstat(fd, &opened) == 0 && lstat(path, &named) == 0 &&
           opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

/* The process id in the file, or 0. Another daemon has written the text, perhaps only
 * half of it yet, so the number is printed and not used. */
static intmax_t read_pid(int fd)
{
    char text[32];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0)
        return 0;
    text[n] = '\0';
    intmax_t pid = strtoimax(text, NULL, 10);
    return pid > 0 ? pid : 0;
}

static void say_busy(int fd, const char *path, char *error, size_t size)
{
    intmax_t pid = read_pid(fd);
    if (pid > 0)
        snprintf(error, size, "PidFile: %s: the daemon with process id %jd is running",
                 path, pid);
    else
        snprintf(error, size, "PidFile: %s: another daemon is starting", path);
}

/* Follows no symbolic link: in a directory that others may write to, a link could lead to
 * any file of the system. */
static int open_regular(const char *path, char *error, size_t size)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0644);
    if (fd < 0) {
        snprintf(error, size, "PidFile: %s: %s", path, strerror(errno));
        return -1;
    }
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        snprintf(error, size, "PidFile: %s: not a regular file", path);
        close(fd);
        return -1;
    }
    return fd;
}

/* A daemon that ends unlinks its file while it holds the lock. If this one has opened the
 * file just before, it may now hold a file without a name: then it tries again. */
static int open_locked(const char *path, char *error, size_t size)
{
    for (;;) {
        int fd = open_regular(path, error, size);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
            if (errno == EWOULDBLOCK)
                say_busy(fd, path, error, size);
            else
                snprintf(error, size, "PidFile: %s: %s", path, strerror(errno));
            close(fd);
            return -1;
        }
        if (same_file(fd, path))
            return fd;
        close(fd);
    }
}

/* Never leaves an empty file: the new text is written over the old one before the file is
 * cut to its length. */
static bool write_pid(int fd)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%jd\n", (intmax_t)getpid());
    ssize_t n = pwrite(fd, text, (size_t)len, 0);
    if (n >= 0 && n != len)
        errno = ENOSPC;
    return n == len && ftruncate(fd, len) == 0;
}

bool pidfile_open(const char *path, char *error, size_t size)
{
    if (path[0] == '\0')
        return true;
    int fd = open_locked(path, error, size);
    if (fd < 0)
        return false;
    pidfile_path = path_absolute(path); /* daemon(3) changes the directory */
    if (pidfile_path == NULL || !write_pid(fd)) {
        snprintf(error, size, "PidFile: %s: %s", path, strerror(errno));
        free(pidfile_path);
        pidfile_path = NULL;
        unlink(path); /* an empty file would mean that a daemon is starting */
        close(fd);
        return false;
    }
    pidfile_fd = fd;
    return true;
}

void pidfile_chown(unsigned uid, unsigned gid)
{
    /* If this fails, the file can still be emptied at the end, through the open
     * descriptor. */
    if (pidfile_fd >= 0 && fchown(pidfile_fd, (uid_t)uid, (gid_t)gid) != 0)
        return;
}

bool pidfile_write(void)
{
    return pidfile_fd < 0 || write_pid(pidfile_fd);
}

void pidfile_remove(void)
{
    if (pidfile_fd < 0)
        return;
    /* First unlink, then close, which releases the lock. In the other order the file of a
     * daemon that has started in between could be removed. */
    if (same_file(pidfile_fd, pidfile_path) && unlink(pidfile_path) != 0 &&
        ftruncate(pidfile_fd, 0) != 0)
        fprintf(stderr, "PidFile: %s: %s\n", pidfile_path, strerror(errno));
    close(pidfile_fd);
    pidfile_fd = -1;
    free(pidfile_path);
    pidfile_path = NULL;
}
