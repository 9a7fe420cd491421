/* Naps: how a thread sleeps that does something now and then, until it is time, or until
 * others wake it or tell it to end. */
#ifndef LUAFCGID2_BASE_NAP_H
#define LUAFCGID2_BASE_NAP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Static, initialised by NAP. The lock is a leaf and guards the last two fields. */
struct nap {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* one of the next two */
    bool over, woken;
};

#define NAP                                                                              \
    {                                                                                    \
        .lock = PTHREAD_MUTEX_INITIALIZER                                                \
    }

/* Before the thread is started, which may be one after another has ended. Main thread. */
void nap_begin(struct nap *n);

/* Sleeps for `length` milliseconds, or until woken; one that was woken before does not
 * sleep at all. false: it is time to end. By the thread. */
bool nap_take(struct nap *n, int64_t length);

/* The thread has something to do, or is to end. Any thread; do not block. */
void nap_wake(struct nap *n);
void nap_end(struct nap *n);

#endif
