/* The saver looks about once a second whether SessionFile is to be written, and writes
 * it. It is one thread. A disk may hold it up for any time; then the heartbeat says so in
 * the log. */
#include "daemon/saver.h"

#include "base/clock.h"
#include "base/crew.h"
#include "base/log.h"
#include "base/nap.h"
#include "config.h"
#include "daemon/duration.h"
#include "store/store.h"

#define PERIOD 1000 /* milliseconds between two looks */

/* Milliseconds that writing may take before the log says so. */
#ifndef SAVE_TIME
#define SAVE_TIME 10000
#endif

static bool work(int id);

static struct crew crew = CREW("thread that saves sessions", work, 0);
static struct session_store *store; /* immutable while the thread runs */
static struct nap nap = NAP;
static struct duration duration; /* of writing */

static void save(bool last)
{
    struct config *config = config_current();
    uint32_t begun = clock_ticks();
    bool written = false;
    watch_begin(SAVE_TIME);
    watch_set_name(config->session_file, true);
    if (last)
        store_save(store, config);
    else
        written = store_autosave(store, config);
    watch_end();
    if (written)
        duration_note(&duration, clock_ticks() - begun);
    if (watch_was_stuck()) {
        crew_came_back(&crew);
        watch_forgive();
    }
    config_unref(config);
}

static bool work(int id)
{
    if (!watch_create(WATCH_SAVER, id))
        return false;
    crew_begun(&crew);
    while (nap_take(&nap, PERIOD))
        save(false);
    save(true);
    watch_destroy();
    return true;
}

bool saver_start(struct session_store *sessions)
{
    nap_begin(&nap);
    store = sessions;
    return crew_start(&crew, 1, 0);
}

const struct duration *saver_duration(void)
{
    return &duration;
}

void saver_report(const struct watch_report *report)
{
    crew_replace(&crew, report->id);
    log_warning("SessionFile %s has not been written for %d s: the disk does not answer",
                report->name, SAVE_TIME / 1000);
}

bool saver_stop(int64_t timeout)
{
    nap_end(&nap);
    bool saved = crew_wait(&crew, timeout);
    if (!saved)
        log_error(
            "the sessions could not be saved within %d s: the disk of SessionFile does "
            "not answer",
            (int)(timeout / 1000));
    return saved;
}
