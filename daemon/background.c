/* Going to the background. With daemon(3) the user's process would end at the fork, while
 * PidFile still holds its process id: a script that reads the file then would send its
 * signal to no process, or to a wrong one. Here the user's process waits at a pipe. Only
 * the main thread runs this. */
#include "daemon/background.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static int starter = -1; /* our end of the pipe to the user's process */

/* Runs in the user's process. The read returns 0 if the other process has ended. */
static _Noreturn void wait_for_start(int fd)
{
    char byte;
    ssize_t n;
    while ((n = read(fd, &byte, 1)) < 0 && errno == EINTR)
        ;
    _exit(n == 1 ? EXIT_SUCCESS : EXIT_FAILURE);
}

bool background_enter(void)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    pid_t pid = fork();
    if (pid < 0) {
        int error = errno;
        close(ends[0]);
        close(ends[1]);
        errno = error;
        return false;
    }
    if (pid > 0) {
        close(ends[1]);
        wait_for_start(ends[0]);
    }
    close(ends[0]);
    setsid();
    starter = ends[1];
    return true;
}

void background_detach(void)
{
    if (starter < 0)
        return;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int fd = STDIN_FILENO; null >= 0 && fd <= STDERR_FILENO; fd++)
        dup2(null, fd);
    if (null > STDERR_FILENO)
        close(null);
    while (write(starter, "", 1) < 0 && errno == EINTR)
        ;
    close(starter);
    starter = -1;
}
