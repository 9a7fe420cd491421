/* Crews of threads. All threads are detached; a crew's lock guards its counts, and is
 * taken at the start and end of a thread only. */
#include "base/crew.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct member {
    struct crew *crew;
    int id;
};

/* Of one that was to be there and is not. */
static void miss(struct crew *c, int error)
{
    pthread_mutex_lock(&c->lock);
    bool first = c->missing++ == 0;
    pthread_mutex_unlock(&c->lock);
    if (first)
        log_error("cannot start a %s: %s", c->name, strerror(error));
}

/* For who looks at the threads with top -H or a debugger. */
static void set_name(const struct crew *c)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), c->name);
#else
    (void)c;
#endif
}

static void *run(void *arg)
{
    struct member *m = arg;
    struct crew *c = m->crew;
    struct memory_thread memory;
    set_name(c);
    memory_join(&memory);
    errno = 0;
    bool began = c->work(m->id);
    int error = errno;
    memory_leave(&memory);
    free(m);
    if (!began)
        miss(c, error);
    pthread_mutex_lock(&c->lock);
    c->running--;
    c->failed += !began;
    pthread_cond_broadcast(&c->changed);
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static int create_thread(const struct crew *c, struct member *m)
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

/* 0, or why there is not one more. It was counted as running already. */
static int start_one(struct crew *c)
{
    struct member *m = malloc(sizeof *m);
    int error = ENOMEM;
    if (m != NULL) {
        pthread_mutex_lock(&c->lock);
        *m = (struct member){c, ++c->last_id};
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

bool crew_add(struct crew *c, int most)
{
    pthread_mutex_lock(&c->lock);
    bool wanted = c->running - c->stuck < most;
    c->running += wanted;
    pthread_mutex_unlock(&c->lock);
    return wanted && start_one(c) == 0;
}

bool crew_replace(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool possible = ++c->stuck <= c->most_stuck;
    pthread_mutex_unlock(&c->lock);
    if (possible)
        start_needed(c);
    return possible;
}

bool crew_came_back(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    c->stuck--;
    bool enough = c->running - c->stuck > c->wanted;
    if (!enough && c->missing > 0)
        c->missing--;
    pthread_mutex_unlock(&c->lock);
    return enough;
}

/* Who fails again is missed again. */
void crew_mend(struct crew *c)
{
    pthread_mutex_lock(&c->lock);
    bool missing = c->missing > 0;
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
    pthread_mutex_unlock(&c->lock);
    return all;
}
