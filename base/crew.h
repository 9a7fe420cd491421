/* A crew: threads that do the same work. One that is stuck is replaced.
 *
 * If a thread cannot be started, because the system's limit on processes is reached, it
 * is missing. The heartbeat tries again and again to start it. */
#ifndef LUAFCGID2_BASE_CREW_H
#define LUAFCGID2_BASE_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew_member;

/* Static, initialised by CREW. One lock, a leaf, guards the fields marked so. */
struct crew {
    const char *name;     /* of one thread, for the log; immutable, as are the next two */
    bool (*work)(int id); /* returns at the end; false: could not begin, with errno */
    size_t stack_bytes;   /* 0: the system's default */
    int wanted, most_stuck; /* immutable once there are threads */
    pthread_mutex_t lock;
    pthread_cond_t changed;      /* one of the fields below has changed */
    int running, stuck, leaving; /* lock; `running` counts the other two */
    int missing, begun, failed;  /* lock; not started; begun or failed, ever */
    int last_id;                 /* lock */
    struct crew_member *members; /* lock; those that run */
    bool over;                   /* lock; none is started any more */
};

#define CREW(name_, work_, stack_)                                                       \
    {                                                                                    \
        .name = (name_), .work = (work_), .stack_bytes = (stack_),                       \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                \
    }

/* Starts `count` threads, with every signal blocked, and waits until they are ready. From
 * then on the crew keeps that number able to work, and replaces at most `most_stuck`.
 * false: some could not be started, as the log says. Main thread. */
bool crew_start(struct crew *c, int count, int most_stuck);

/* Called by each thread once it can work. */
void crew_begun(struct crew *c);

/* Starts an extra thread if fewer than `most` are able to work; it may end at any time.
 * 0, or why not: EALREADY if there are enough, else why it cannot be started. Any thread.
 */
int crew_add(struct crew *c, int most);

/* How many more threads are able to work than crew_start has started; negative: fewer. */
int crew_surplus(struct crew *c);

/* Called by a thread that works and would end: whether the others are enough. If so, it
 * must end. */
bool crew_may_leave(struct crew *c);

/* How many of the threads that are able to work do not wait: they have used a processor,
 * or waited for one, for half of the time since the last call; or they are awake now, or
 * were at the last call. A thread that has not begun yet counts. One thread calls this.
 */
int crew_computing(struct crew *c);

/* Heartbeat: thread `id` is stuck, and another takes its place. false: too many are
 * stuck. */
bool crew_replace(struct crew *c, int id);

/* Called by a thread that was stuck and goes on. true: there are enough without it, and
 * it must end. */
bool crew_came_back(struct crew *c);

/* Heartbeat: starts the threads that are missing. */
void crew_mend(struct crew *c);

/* Waits until all have ended, for at most `timeout` milliseconds. From then on none is
 * started: what they use may be freed. false: some still run. */
bool crew_wait(struct crew *c, int64_t timeout);

#endif
