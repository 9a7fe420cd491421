/* Starting and awaiting children. Between fork and exec only async-signal-safe functions
 * are called: other threads may have held any lock at the moment of the fork.
 *
 * `lock` guards the list of those that were abandoned, and nothing else. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct abandoned {
    struct abandoned *next;
    pid_t pid;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct abandoned *abandoned; /* lock */

static void close_descriptors(int limit)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, 3u, ~0u, 0u) == 0)
        return;
#endif
    for (int fd = 3; fd < limit; fd++)
        close(fd);
}

static void default_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigemptyset(&action.sa_mask);
    for (int i = 1; i < NSIG; i++)
        sigaction(i, &action, NULL); /* KILL and STOP refuse, harmlessly */
    sigprocmask(SIG_SETMASK, &action.sa_mask, NULL);
}

static void become(const char *command, int in, int out, int limit)
{
    if ((in >= 0 && dup2(in, 0) < 0) || (out >= 0 && dup2(out, 1) < 0))
        _exit(127);
    close_descriptors(limit);
    default_signals();
    setpgid(0, 0); /* so that it can be killed with what it starts */
    execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
}

pid_t process_start(const char *command, int in, int out)
{
    long limit = sysconf(_SC_OPEN_MAX);
    if (limit < 0 || limit > 65536)
        limit = 65536;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all,
                    &before); /* no handler of ours runs in the child */
    pid_t pid = fork();
    if (pid == 0)
        become(command, in, out, (int)limit);
    int error = errno;
    if (pid > 0)
        setpgid(pid, pid); /* too, for it may be killed before it has done so */
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

bool process_wait(pid_t pid, int *status)
{
    return waitpid(pid, status, 0) == pid;
}

/* Whether nothing is left of the child to wait for. */
static bool is_gone(pid_t pid)
{
    int status;
    pid_t got;
    do
        got = waitpid(pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    return got != 0;
}

void process_abandon(pid_t pid)
{
    int status;
    kill(-pid, SIGKILL);
    if (is_gone(pid))
        return;
    struct abandoned *a = malloc(sizeof *a);
    if (a == NULL) { /* it is not likely to hang, too */
        while (!process_wait(pid, &status) && errno == EINTR)
            ;
        return;
    }
    a->pid = pid;
    pthread_mutex_lock(&lock);
    a->next = abandoned;
    abandoned = a;
    pthread_mutex_unlock(&lock);
}

void process_reap(void)
{
    pthread_mutex_lock(&lock);
    for (struct abandoned **link = &abandoned, *a; (a = *link) != NULL;) {
        if (!is_gone(a->pid)) {
            link = &a->next;
            continue;
        }
        *link = a->next;
        free(a);
    }
    pthread_mutex_unlock(&lock);
}
