/* The closers. Any thread adds to the queue, and the closers take from it. `lock` guards
 * the queue and the counts beside it; nothing else is touched while it is held. Each
 * closer has a working directory of its own, as workers have: a finalizer finds the files
 * that its script found. */
#include "pool/closer.h"

#include "base/clock.h"
#include "base/crew.h"
#include "base/log.h"
#include "lua/directory.h"
#include "lua/limit.h"

#include <pthread.h>

#ifndef SPARE_TIME
#define SPARE_TIME 1000 /* milliseconds that one closer more than one waits for work */
#endif

static bool work(int id);

static struct crew crew = CREW("closer", work, LIMIT_STACK_BYTES);
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed;        /* any of what `lock` guards */
static struct closing *first, **last; /* lock; `last` NULL: there are no closers */
static int idle, queued;              /* lock */
static bool stopping;                 /* lock */
static int most;                      /* immutable once there are threads */

static struct closing *take_locked(void)
{
    struct closing *c = first;
    if (c == NULL)
        return NULL;
    first = c->next;
    if (first == NULL)
        last = &first;
    queued--;
    return c;
}

/* Waits for something to close. NULL: this closer is to end. Of those that have nothing
 * to do, one stays. */
static struct closing *take(void)
{
    struct timespec until = clock_after(SPARE_TIME);
    pthread_mutex_lock(&lock);
    idle++;
    while (first == NULL && !stopping)
        if (idle == 1)
            pthread_cond_wait(&changed, &lock);
        else if (pthread_cond_timedwait(&changed, &lock, &until) != 0 && idle > 1)
            break;
    idle--;
    struct closing *c = take_locked();
    pthread_mutex_unlock(&lock);
    return c;
}

static void close_one(struct closing *c, struct directory *directory)
{
    watch_begin(LIMIT_CLOSING_TIME);
    watch_set_name(c->name, false);
    log_set_script(c->name);
    directory_enter(directory, c->name);
    c->close(c);
    log_set_script(NULL);
    watch_end();
}

static bool may_stay(void)
{
    if (!watch_was_stuck())
        return true;
    log_warning("a finalizer (__gc) that was stuck has come to its end");
    watch_forgive();
    return !crew_came_back(&crew);
}

static bool work(int id)
{
    struct closing *c;
    struct directory directory = {0};
    if (!watch_create(WATCH_CLOSER, id))
        return false;
    directory_make_own(&directory);
    crew_begun(&crew);
    do {
        c = take();
        if (c != NULL)
            close_one(c, &directory);
    } while (c != NULL && may_stay());
    directory_release(&directory);
    watch_destroy();
    return true;
}

bool closers_start(int workers)
{
    clock_init_condition(&changed);
    most = workers + 1;
    last = &first;
    return crew_start(&crew, 1, workers);
}

void closers_add(struct closing *c)
{
    pthread_mutex_lock(&lock);
    bool here = last == NULL;
    if (!here) {
        c->next = NULL;
        *last = c;
        last = &c->next;
        queued++;
        pthread_cond_signal(&changed);
    }
    bool more = queued > idle;
    pthread_mutex_unlock(&lock);
    if (here)
        c->close(c);
    else if (more)
        crew_add(&crew, most);
}

bool closers_replace(const struct watch_report *report)
{
    log_error("a finalizer (__gc) of %s is stuck where no limit reaches it",
              report->name);
    return crew_replace(&crew, report->id);
}

void closers_mend(void)
{
    crew_mend(&crew);
}

bool closers_stop(int64_t timeout)
{
    pthread_mutex_lock(&lock);
    stopping = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
    return crew_wait(&crew, timeout);
}
