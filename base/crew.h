/* A crew: threads that do the same work, of which one that is stuck is replaced, and
 * which may be more for a time.
 *
 * A thread that cannot be started (the system's limit on processes is reached) is missing
 * until the heartbeat, which tries again and again, can start it. One that is able to
 * work is neither stuck nor about to leave. */
#ifndef LUAFCGID2_BASE_CREW_H
#define LUAFCGID2_BASE_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct crew_member;

/* Static, by CREW. One lock, a leaf, guards what is marked so. */
struct crew {
    const char *name;       /* immutable, as are the next two: of one, for the log */
    bool (*work)(int id);   /* returns at the end; false: could not begin, with errno */
    size_t stack_bytes;     /* 0: the system's default */
    int wanted, most_stuck; /* immutable once there are threads */
    pthread_mutex_t lock;
    pthread_cond_t changed;      /* any of the following */
    int running, stuck, leaving; /* lock: the latter two run, too */
    int missing, begun, failed;  /* lock: not started; of those ever started */
    int last_id;                 /* lock */
    struct crew_member *members; /* lock: those that run */
};

#define CREW(name_, work_, stack_)                                                       \
    {                                                                                    \
        .name = (name_), .work = (work_), .stack_bytes = (stack_),                       \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                \
    }

/* Starts `count` threads, with every signal blocked, and waits until they are ready; as
 * many are to be able to work from now on. At most `most_stuck` are replaced. false: not
 * all could be started, as the log says. Main thread. */
bool crew_start(struct crew *c, int count, int most_stuck);

/* By each thread, once it can work. */
void crew_begun(struct crew *c);

/* One more for a time, if fewer than `most` are able to work. It may end when it likes.
 * 0, or why not: EALREADY when there are as many, else why it cannot be started. Any
 * thread. */
int crew_add(struct crew *c, int most);

/* How many more are able to work than crew_start has started; negative: fewer. */
int crew_surplus(struct crew *c);

/* By one that works, to be asked before it ends: whether the others are enough. Then it
 * is to end. */
bool crew_may_leave(struct crew *c);

/* How many of those able to work have used a processor, or have waited for one, most of
 * the time since the last call or their start; one that has yet to begin counts. One
 * thread. */
int crew_computing(struct crew *c);

/* Heartbeat: number `id` is stuck, and another takes its place. false: too many are
 * stuck. */
bool crew_replace(struct crew *c, int id);

/* By one that was stuck and is not any more. true: there are enough without it, and it is
 * to end. */
bool crew_came_back(struct crew *c);

/* Heartbeat: starts who is missing. */
void crew_mend(struct crew *c);

/* Waits until all have ended, for at most `timeout` milliseconds. false: some still run.
 */
bool crew_wait(struct crew *c, int64_t timeout);

#endif
