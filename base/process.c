/* Starting and awaiting children. Between fork and exec only async-signal-safe functions
 * are called: other threads may have held any lock at the moment of the fork.
 *
 * `lock` guards the list of those that were started and not yet awaited, and how many
 * calls are about to add one. It is not held during a fork. */
#include "base/process.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define FORK_TIME 1000 /* milliseconds that forks have before process_kill_all leaves */

struct child {
    struct child *next;
    pid_t pid;
    bool abandoned;    /* nobody waits for it but process_reap */
    const void *owner; /* who left it to itself; NULL: nobody */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct child *children; /* lock */
static int starting;           /* lock; calls of process_start that fork */
static bool ended;             /* lock; nothing is started any more */

/* The link to the child, or the end of the list. */
static struct child **find_locked(pid_t pid)
{
    struct child **link = &children;
    while (*link != NULL && (*link)->pid != pid)
        link = &(*link)->next;
    return link;
}

/* Without memory the child is not listed; process_abandon then waits for it. */
static void remember(pid_t pid)
{
    struct child *c = malloc(sizeof *c);
    if (c == NULL)
        return;
    pthread_mutex_lock(&lock);
    *c = (struct child){.next = children, .pid = pid};
    children = c;
    pthread_mutex_unlock(&lock);
}

static void forget(pid_t pid)
{
    pthread_mutex_lock(&lock);
    struct child **link = find_locked(pid), *c = *link;
    if (c != NULL)
        *link = c->next;
    pthread_mutex_unlock(&lock);
    free(c);
}

bool process_is_own(pid_t pid)
{
    pthread_mutex_lock(&lock);
    bool own = *find_locked(pid) != NULL;
    pthread_mutex_unlock(&lock);
    return own;
}

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
        sigaction(i, &action, NULL); /* this fails for KILL and STOP, which is harmless */
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

static bool may_start(void)
{
    pthread_mutex_lock(&lock);
    bool may = !ended;
    starting += may;
    pthread_mutex_unlock(&lock);
    return may;
}

static void note_started(void)
{
    pthread_mutex_lock(&lock);
    starting--;
    pthread_mutex_unlock(&lock);
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
    bool may = may_start();
    pid_t pid = may ? fork() : -1;
    if (pid == 0)
        become(command, in, out, (int)limit);
    int error = may ? errno : ECANCELED;
    if (pid > 0) {
        setpgid(pid, pid); /* here too, as it may be killed before it has done so */
        remember(pid);
    }
    if (may)
        note_started();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    errno = error;
    return pid;
}

pid_t process_start_piped(const char *command, bool reading, FILE **stream)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return -1;
    int ours = fds[reading ? 0 : 1], theirs = fds[reading ? 1 : 0];
    *stream = fdopen(ours, reading ? "r" : "w");
    pid_t pid = *stream == NULL ? -1
                                : process_start(command, reading ? -1 : theirs,
                                                reading ? theirs : -1);
    int error = errno;
    close(theirs);
    if (pid < 0 && *stream != NULL)
        fclose(*stream);
    else if (pid < 0)
        close(ours);
    errno = error;
    return pid;
}

/* It leaves the list before its number is free for another process. */
bool process_wait(pid_t pid, int *status)
{
    siginfo_t info;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0)
        return false;
    forget(pid);
    return waitpid(pid, status, 0) == pid;
}

/* If the child at `link` has died, waits for it and takes it out of the list. */
static bool reap_locked(struct child **link)
{
    struct child *c = *link;
    int status;
    pid_t got;
    do
        got = waitpid(c->pid, &status, WNOHANG);
    while (got < 0 && errno == EINTR);
    if (got == 0)
        return false;
    *link = c->next;
    free(c);
    return true;
}

void process_abandon(pid_t pid)
{
    int status;
    kill(-pid, SIGKILL);
    pthread_mutex_lock(&lock);
    struct child **link = find_locked(pid);
    bool known = *link != NULL;
    if (known && !reap_locked(link))
        (*link)->abandoned = true;
    pthread_mutex_unlock(&lock);
    while (!known && !process_wait(pid, &status) && errno == EINTR)
        ; /* the wait is short, as the child was killed */
}

bool process_is_alive(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == 0;
}

static int count_left_locked(const void *owner)
{
    int count = 0;
    for (const struct child *c = children; c != NULL; c = c->next)
        count += c->owner == owner && process_is_alive(c->pid);
    return count;
}

bool process_leave(pid_t pid, const void *owner)
{
    pthread_mutex_lock(&lock);
    struct child **link = find_locked(pid), *c = *link;
    bool known = c != NULL, gone = known && reap_locked(link);
    bool left = known && !gone && count_left_locked(owner) < PROCESS_LEFT_MAX;
    if (left) {
        c->abandoned = true;
        c->owner = owner;
    }
    pthread_mutex_unlock(&lock);
    return gone || left;
}

void process_set_owner(pid_t pid, const void *owner)
{
    pthread_mutex_lock(&lock);
    struct child *c = *find_locked(pid);
    if (c != NULL)
        c->owner = owner;
    pthread_mutex_unlock(&lock);
}

void process_kill_left(const void *owner)
{
    pthread_mutex_lock(&lock);
    for (struct child *c = children; c != NULL; c = c->next) {
        if (c->owner == owner) {
            kill(-c->pid, SIGKILL);
            c->owner = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
}

/* A child that another thread is about to list would outlive the process. */
void process_kill_all(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    bool busy = true;
    for (int i = 0; busy && i < FORK_TIME; i++) {
        if (i > 0)
            nanosleep(&moment, NULL);
        pthread_mutex_lock(&lock);
        ended = true;
        for (const struct child *c = children; c != NULL; c = c->next)
            kill(-c->pid, SIGKILL);
        busy = starting > 0;
        pthread_mutex_unlock(&lock);
    }
}

void process_reap(void)
{
    pthread_mutex_lock(&lock);
    for (struct child **link = &children; *link != NULL;)
        if (!(*link)->abandoned || !reap_locked(link))
            link = &(*link)->next;
    pthread_mutex_unlock(&lock);
}
