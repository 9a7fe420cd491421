/* Crews of threads.
 *
 * All threads are detached. A crew's lock guards its counts and the list of its members,
 * each of which belongs to its thread. The lock is taken when a thread starts or ends, by
 * the heartbeat, and by crew_computing, which reads each thread's clock under it: some
 * microseconds each. */
#include "base/crew.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
#endif

struct crew_member {
    struct crew *crew; /* immutable */
    int id;            /* immutable */
    /* The crew's lock, and immutable while it is in the list: */
    clockid_t clock; /* the processor's time that it has used */
    bool has_clock;
    int thread; /* the system's number of it, on Linux */
    /* The crew's lock: */
    struct crew_member *next;
    bool stuck, leaving;
    bool asleep;             /* at the last look */
    int64_t used, looked_at; /* ns: of the clock, at the last look; or the start */
};

static _Thread_local struct crew_member *self;

/* Notes that a thread could not be started. */
static void miss(struct crew *c, int error)
{
    pthread_mutex_lock(&c->lock);
    bool first = c->missing++ == 0;
    pthread_mutex_unlock(&c->lock);
    if (first)
        log_error("cannot start a %s: %s", c->name, strerror(error));
}

/* The name that top -H and debuggers show. */
static void set_name(const struct crew *c)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), c->name);
#else
    (void)c;
#endif
}

/* -- Members -- */

static void join(struct crew *c, struct crew_member *m)
{
    m->has_clock = pthread_getcpuclockid(pthread_self(), &m->clock) == 0;
#ifdef __linux__
    m->thread = (int)syscall(SYS_gettid);
#endif
    m->looked_at = clock_nanoseconds();
    self = m;
    pthread_mutex_lock(&c->lock);
    m->next = c->members;
    c->members = m;
    pthread_mutex_unlock(&c->lock);
}

static void part_locked(struct crew *c, struct crew_member *m)
{
    struct crew_member **link = &c->members;
    while (*link != m)
        link = &(*link)->next;
    *link = m->next;
    c->leaving -= m->leaving;
}

static int able_locked(const struct crew *c)
{
    return c->running - c->stuck - c->leaving;
}

/* The calling thread is about to end. It does not count any more, though it still runs.
 */
static void leave_locked(struct crew *c)
{
    self->leaving = true;
    c->leaving++;
}

static void *run(void *arg)
{
    struct crew_member *m = arg;
    struct crew *c = m->crew;
    struct memory_thread memory;
    set_name(c);
    memory_join(&memory);
    join(c, m);
    errno = 0;
    bool began = c->work(m->id);
    int error = errno;
    memory_leave(&memory);
    if (!began)
        miss(c, error);
    pthread_mutex_lock(&c->lock);
    part_locked(c, m);
    c->running--;
    c->failed += !began;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    free(m);
    return NULL;
}

static int create_thread(const struct crew *c, struct crew_member *m)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (c->stack_bytes > 0)
        pthread_attr_setstacksize(&attributes, c->stack_bytes);
    int error = pthread_create(&thread, &attributes, run, m);
    pthread_attr_destroy(&attributes);
    return error;
}

/* 0, or why the thread could not be started. The caller has counted it as running. */
static int start_one(struct crew *c)
{
    struct crew_member *m = malloc(sizeof *m);
    int error = ENOMEM;
    if (m != NULL) {
        pthread_mutex_lock(&c->lock);
        *m = (struct crew_member){.crew = c, .id = ++c->last_id};
        pthread_mutex_unlock(&c->lock);
        error = create_thread(c, m);
    }
    if (error == 0)
        return 0;
    free(m);
    pthread_mutex_lock(&c->lock);
    c->running--;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return error;
}

static bool start_needed(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    c->running++;
    pthread_mutex_unlock(&c->lock);
    int error = start_one(c);
    if (error != 0)
        miss(c, error);
    return error == 0;
}

bool crew_start(struct crew *c, int count, int most_stuck)
{
    clock_init_condition(&c->changed);
    c->wanted = count;
    c->most_stuck = most_stuck;
    for (int i = 0; i < count; i++)
        if (!start_needed(c))
            return false;
    pthread_mutex_lock(&c->lock);
    while (c->begun + c->failed < count)
        pthread_cond_wait(&c->changed, &c->lock);
    bool all = c->failed == 0;
    pthread_mutex_unlock(&c->lock);
    return all;
}

void crew_begun(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    c->begun++;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
}

/* -- More for a time -- */

int crew_add(struct crew *c, int most)
{
    pthread_mutex_lock(&c->lock);
    bool wanted = !c->over && able_locked(c) < most;
    c->running += wanted;
    pthread_mutex_unlock(&c->lock);
    return wanted ? start_one(c) : EALREADY;
}

int crew_surplus(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    int surplus = able_locked(c) - c->wanted;
    pthread_mutex_unlock(&c->lock);
    return surplus;
}

bool crew_may_leave(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool enough = able_locked(c) > c->wanted;
    if (enough)
        leave_locked(c);
    pthread_mutex_unlock(&c->lock);
    return enough;
}

/* -- Who computes -- */

/* A thread that waits for a processor uses none, but it does not wait for anything else
 * either: the machine has other things to do. Only Linux tells. */
static bool wants_processor(const struct crew_member *m)
{
#ifdef __linux__
    char path[64], text[128];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", m->thread);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno != ENOENT; /* then there is no /proc */
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *name_end = strrchr(text, ')'); /* proc(5): "1234 (name) R 1 ..." */
    return name_end != NULL && strncmp(name_end, ") R", 3) == 0;
#else
    (void)m;
    return false;
#endif
}

/* Whether `m` waits, and has done so for a while; notes how it is for the next look. Who
 * computes sleeps for moments, too (for a lock, for memory). A thread that sleeps now and
 * has used no processor since the last look was asleep all the time. */
static bool look(struct crew_member *m, int64_t now)
{
    struct timespec t;
    if (!m->has_clock || clock_gettime(m->clock, &t) != 0)
        return false;
    int64_t used = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    bool idle = used == m->used, was_asleep = m->asleep;
    bool used_little = (used - m->used) * 2 < now - m->looked_at;
    m->asleep = (idle && was_asleep) || (used_little && !wants_processor(m));
    m->used = used;
    m->looked_at = now;
    return m->asleep && (idle || was_asleep);
}

int crew_computing(struct crew *c)
{
    int64_t now = clock_nanoseconds();
    pthread_mutex_lock(&c->lock);
    int computing = c->running;
    for (struct crew_member *m = c->members; m != NULL; m = m->next)
        computing -= m->stuck || m->leaving || look(m, now);
    pthread_mutex_unlock(&c->lock);
    return computing;
}

/* -- Those that are stuck -- */

static void mark_stuck_locked(struct crew *c, int id)
{
    for (struct crew_member *m = c->members; m != NULL; m = m->next)
        if (m->id == id)
            m->stuck = true;
}

bool crew_replace(struct crew *c, int id)
{
    pthread_mutex_lock(&c->lock);
    mark_stuck_locked(c, id);
    bool possible = ++c->stuck <= c->most_stuck, over = c->over;
    pthread_mutex_unlock(&c->lock);
    if (possible && !over)
        start_needed(c);
    return possible;
}

bool crew_came_back(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    c->stuck--;
    self->stuck = false;
    bool enough = able_locked(c) > c->wanted;
    if (enough)
        leave_locked(c);
    else if (c->missing > 0)
        c->missing--;
    pthread_mutex_unlock(&c->lock);
    return enough;
}

/* A thread that cannot begin is missing again. */
void crew_mend(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool missing = c->missing > 0 && !c->over;
    c->running += missing;
    pthread_mutex_unlock(&c->lock);
    if (!missing || start_one(c) != 0)
        return;
    pthread_mutex_lock(&c->lock);
    bool all = --c->missing == 0;
    pthread_mutex_unlock(&c->lock);
    if (all)
        log_info("every %s that could not be started runs now", c->name);
}

bool crew_wait(struct crew *c, int64_t timeout)
{
    struct timespec until = clock_after(timeout);
    pthread_mutex_lock(&c->lock);
    int error = 0;
    while (c->running > 0 && error == 0)
        error = pthread_cond_timedwait(&c->changed, &c->lock, &until);
    bool all = c->running == 0;
    c->over = true;
    pthread_mutex_unlock(&c->lock);
    return all;
}
