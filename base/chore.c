/* The thread of chores. It is started by the first one, and ends with the process: nobody
 * waits for a chore then. The lock guards all that is static here; it is a leaf, and not
 * held while a chore runs, nor while somebody is woken. */
#include "base/chore.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#ifdef __linux__
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#define STACK_BYTES (1024 * 1024)
#define NICENESS    5 /* pages come first */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t arrival = PTHREAD_COND_INITIALIZER; /* one more waits */
static pthread_cond_t woken = PTHREAD_COND_INITIALIZER;   /* `waking` is over */
static bool has_thread, waking, stopped;
static struct chore *first, **last = &first;

static struct chore *next_chore(void)
{
    pthread_mutex_lock(&lock);
    while (first == NULL || stopped)
        pthread_cond_wait(&arrival, &lock);
    struct chore *c = first;
    first = c->next;
    if (first == NULL)
        last = &first;
    pthread_mutex_unlock(&lock);
    return c;
}

/* Whoever waits for the chore may be gone once chores are stopped. */
static void tell(struct chore *c)
{
    pthread_mutex_lock(&lock);
    while (stopped)
        pthread_cond_wait(&arrival, &lock);
    waking = true;
    pthread_mutex_unlock(&lock);
    atomic_store(&c->done, true);
    waker_wake(c->waker);
    pthread_mutex_lock(&lock);
    waking = false;
    pthread_cond_signal(&woken);
    pthread_mutex_unlock(&lock);
}

static void *work(void *unused)
{
#ifdef __linux__
    pthread_setname_np(pthread_self(), "chores");
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICENESS);
#endif
    for (;;) {
        struct chore *c = next_chore();
        if (atomic_load(&c->references) > 1) {
            c->run(c);
            tell(c);
        }
        chore_unref(c);
    }
    return unused;
}

/* It gets no signal: those of the daemon are the main thread's. */
static bool start(void)
{
    pthread_t thread;
    pthread_attr_t attributes;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0)
        return false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
              pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
              pthread_create(&thread, &attributes, work, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return ok;
}

static bool ensure_thread(void)
{
    pthread_mutex_lock(&lock);
    bool had = has_thread;
    has_thread = true;
    pthread_mutex_unlock(&lock);
    if (had || start())
        return true;
    pthread_mutex_lock(&lock);
    has_thread = false;
    pthread_mutex_unlock(&lock);
    return false;
}

bool chore_begin(struct chore *c, struct waker *waker)
{
    if (!ensure_thread())
        return false;
    atomic_fetch_add(&c->references, 1);
    c->waker = waker_ref(waker);
    c->next = NULL;
    pthread_mutex_lock(&lock);
    *last = c;
    last = &c->next;
    pthread_cond_signal(&arrival);
    pthread_mutex_unlock(&lock);
    return true;
}

void chores_stop(void)
{
    pthread_mutex_lock(&lock);
    stopped = true;
    while (waking)
        pthread_cond_wait(&woken, &lock);
    pthread_mutex_unlock(&lock);
}

bool chore_is_done(const struct chore *c)
{
    return atomic_load(&c->done);
}

void chore_unref(struct chore *c)
{
    if (atomic_fetch_sub(&c->references, 1) > 1)
        return;
    waker_unref(c->waker);
    c->free(c);
}
