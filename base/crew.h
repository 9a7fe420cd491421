/* A crew: threads that do the same work, of which one that is stuck is replaced.
 *
 * A thread that cannot be started (the system's limit on processes is reached) is missing
 * until the heartbeat, which tries again and again, can start it. */
#ifndef LUAFCGID2_BASE_CREW_H
#define LUAFCGID2_BASE_CREW_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Static, by CREW. One lock, a leaf, guards what is marked so. */
struct crew {
    const char *name;       /* immutable, as are the next two: of one, for the log */
    bool (*work)(int id);   /* returns at the end; false: could not begin, with errno */
    size_t stack_bytes;     /* 0: the system's default */
    int wanted, most_stuck; /* immutable once there are threads */
    pthread_mutex_t lock;
    pthread_cond_t changed;     /* any of the following */
    int running, stuck;         /* lock: stuck ones run, too */
    int missing, begun, failed; /* lock: not started; of those ever started */
    int last_id;                /* lock */
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
 * false: there are as many, or it cannot be started. Any thread. */
bool crew_add(struct crew *c, int most);

/* Heartbeat: one is stuck, and another takes its place. false: too many are stuck. */
bool crew_replace(struct crew *c);

/* By one that was stuck and is not any more. true: there are enough without it, and it is
 * to end. */
bool crew_came_back(struct crew *c);

/* Heartbeat: starts who is missing. */
void crew_mend(struct crew *c);

/* Waits until all have ended, for at most `timeout` milliseconds. false: some still run.
 */
bool crew_wait(struct crew *c, int64_t timeout);

#endif
