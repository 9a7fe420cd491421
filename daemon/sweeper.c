/* The sweeper. Every MinFileInfoTime it looks at the files, and hands states that are no
 * longer current to the closers. It runs no Lua. */
#include "daemon/sweeper.h"

#include "base/clock.h"
#include "base/crew.h"
#include "base/log.h"
#include "base/nap.h"
#include "config.h"
#include "daemon/duration.h"
#include "lua/source.h"

#define SHORTEST 5 /* milliseconds between two sweeps, at least */

static bool work(int id);

static struct crew crew = CREW("thread that looks for changed files", work, 0);
static struct pool *pool; /* immutable while there are threads */
static struct nap nap = NAP;
static struct duration duration; /* of a sweep */

/* The milliseconds between two sweeps. */
static int64_t period(const struct config *config)
{
    return config->min_file_info_time < SHORTEST ? SHORTEST : config->min_file_info_time;
}

static int64_t first_period(void)
{
    struct config *config = config_current();
    int64_t length = period(config);
    config_unref(config);
    return length;
}

/* Returns the milliseconds until the next sweep. */
static int64_t sweep(void)
{
    struct config *config = config_current();
    int64_t length = period(config);
    uint32_t begun = clock_ticks();
    source_sweep(config->use_file_checksum);
    pool_sweep(pool);
    duration_note(&duration, clock_ticks() - begun);
    config_unref(config);
    return length;
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
    int64_t length = first_period(); /* nothing has been read yet */
    if (!watch_create(WATCH_SWEEPER, id))
        return false;
    crew_begun(&crew);
    while (may_stay() && nap_take(&nap, length))
        length = sweep();
    watch_destroy();
    return true;
}

bool sweeper_start(struct pool *p, int most_stuck)
{
    nap_begin(&nap);
    pool = p;
    return crew_start(&crew, 1, most_stuck);
}

void sweeper_wake(void)
{
    nap_wake(&nap);
}

const struct duration *sweeper_duration(void)
{
    return &duration;
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
    nap_end(&nap);
    bool all = crew_wait(&crew, timeout);
    if (!all)
        log_warning(
            "a look for changed files was cut off: a file system does not answer");
    return all;
}
