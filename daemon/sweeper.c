/* The sweeper. Every MinFileInfoTime it looks at the files, and hands states that are no
 * longer current to the closers. It runs no Lua. `lock` guards what is said so below. */
#include "daemon/sweeper.h"

#include "base/clock.h"
#include "base/crew.h"
#include "base/log.h"
#include "config.h"
#include "lua/source.h"

#include <pthread.h>

#define SHORTEST 5 /* milliseconds between two sweeps, at least */

static bool work(int id);

static struct crew crew = CREW("thread that looks for changed files", work, 0);
static struct pool *pool; /* immutable while there are threads */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* any of what `lock` guards */
static bool stopping, woken;   /* lock */

/* Sleeps for `length` milliseconds, or until woken. false: it is time to end. */
static bool nap(int64_t length)
{
    struct timespec until = clock_after(length);
    pthread_mutex_lock(&lock);
    while (!stopping && !woken && pthread_cond_timedwait(&changed, &lock, &until) == 0)
        ;
    woken = false;
    bool go_on = !stopping;
    pthread_mutex_unlock(&lock);
    return go_on;
}

/* Returns the milliseconds until the next sweep. */
static int64_t sweep(void)
{
    struct config *config = config_current();
    int64_t period = config->min_file_info_time;
    source_sweep(config->use_file_checksum);
    pool_sweep(pool);
    config_unref(config);
    return period < SHORTEST ? SHORTEST : period;
}

static bool may_stay(void)
{
    if (!watch_was_stuck())
        return true;
    bool leaves = crew_came_back(&crew);
    watch_forgive();
    return !leaves;
}

static bool work(int id)
{
    int64_t length = 0;
    if (!watch_create(WATCH_SWEEPER, id))
        return false;
    crew_begun(&crew);
    while (may_stay() && nap(length))
        length = sweep();
    watch_destroy();
    return true;
}

bool sweeper_start(struct pool *p, int most_stuck)
{
    clock_init_condition(&changed);
    pool = p;
    return crew_start(&crew, 1, most_stuck);
}

static void set_flag(bool *flag)
{
    pthread_mutex_lock(&lock);
    *flag = true;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

void sweeper_wake(void)
{
    set_flag(&woken);
}

void sweeper_replace(const struct watch_report *report)
{
    bool possible = crew_replace(&crew, report->id);
    log_warning("looking at %s has taken %d s: its file system does not answer; %s",
                report->name, SOURCE_LOOK_TIME / 1000,
                possible ? "changes of other files are still seen"
                         : "as others do not, no change is seen any more");
}

void sweeper_mend(void)
{
    crew_mend(&crew);
}

bool sweeper_stop(int64_t timeout)
{
    set_flag(&stopping);
    bool all = crew_wait(&crew, timeout);
    if (!all)
        log_warning(
            "a look for changed files was cut off: a file system does not answer");
    return all;
}
