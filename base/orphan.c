/* Zombies that no part of the daemon waits for. Runs on the heartbeat alone, which owns
 * `seen`.
 *
 * waitid would report the same zombie again and again, and a script may still want to
 * wait for that one; so all zombies are looked for in /proc. C modules and the C library
 * start children, too, and wait for them: they have until the next look to do so. */
#include "base/orphan.h"

#include "base/log.h"
#include "base/process.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/prctl.h>

enum { SEEN_MAX = 256 }; /* the rest at a later look */

struct zombie {
    pid_t pid;
    uint64_t born; /* tells it from a later process of the same number */
};

static struct zombie seen[SEEN_MAX]; /* at the look before */
static size_t seen_count;

static bool inherits_children(void)
{
    int subreaper = 0;
    return getpid() == 1 ||
           (prctl(PR_GET_CHILD_SUBREAPER, &subreaper, 0, 0, 0) == 0 && subreaper != 0);
}

static bool has_zombies(void)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0;
}

/* Whether the process is a zombie and a child of this one. `born` becomes the time
 * of its start. */
static bool is_zombie(pid_t pid, uint64_t *born)
{
    char path[32], text[1024], state;
    int parent;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *end = strrchr(text, ')'); /* of the name, which may be anything */
    return end != NULL &&
           sscanf(end + 1,
                  " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d"
                  " %*d %" SCNu64,
                  &state, &parent, born) == 3 &&
           state == 'Z' && parent == getpid();
}

static bool was_seen(const struct zombie *z)
{
    for (size_t i = 0; i < seen_count; i++)
        if (seen[i].pid == z->pid && seen[i].born == z->born)
            return true;
    return false;
}

/* Waits for those that were seen before, and lists the others in `found`. */
static size_t look(DIR *processes, struct zombie found[SEEN_MAX])
{
    size_t count = 0;
    for (struct dirent *d; (d = readdir(processes)) != NULL && count < SEEN_MAX;) {
        struct zombie z = {.pid = (pid_t)atoi(d->d_name)};
        int status;
        if (z.pid <= 1 || !is_zombie(z.pid, &z.born) || process_is_own(z.pid))
            continue;
        if (!was_seen(&z))
            found[count++] = z;
        else if (waitpid(z.pid, &status, WNOHANG) == z.pid)
            log_debug("process %d, a child of nobody, has ended", (int)z.pid);
    }
    return count;
}

void orphan_reap(void)
{
    struct zombie found[SEEN_MAX];
    size_t count = 0;
    if (inherits_children() && has_zombies()) {
        DIR *processes = opendir("/proc");
        if (processes != NULL) {
            count = look(processes, found);
            closedir(processes);
        }
    }
    memcpy(seen, found, count * sizeof *found);
    seen_count = count;
}

#else

void orphan_reap(void)
{
}

#endif
