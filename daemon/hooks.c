/* The threads of hooks. Each configuration that has hooks gets a thread, which owns their
 * Lua state, closes it, and ends with it: so a hook that hangs holds up nothing but
 * itself, and after a reload the new file's hooks go on without it.
 *
 * `lock` guards the list of the sets of hooks, and what is said so below. A set is in the
 * list as long as its thread runs, which frees it. */
#include "daemon/hooks.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "lua/limit.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SHORTEST 5 /* milliseconds between two calls of OnHeartbeat, at least */
#define SECOND   1000

#ifndef HOOKS_LATE
#define HOOKS_LATE 10000 /* milliseconds after which the log says that a hook runs */
#endif
#ifndef HOOKS_HANDOVER
#define HOOKS_HANDOVER 5000 /* that hooks wait for those of the configuration before */
#endif
#define STOP_TIME 3000  /* that OnStop may take, */
#define LAST_TIME 1000  /* and what else runs when the daemon stops */
#define REPEAT    60000 /* between two lines about the same error */

struct set {
    struct set *next;           /* lock */
    unsigned serial;            /* immutable; the order of the loads */
    struct config *config;      /* immutable; a reference, which the hooks use */
    const char *why;            /* immutable; of OnStart */
    struct config_hooks *hooks; /* the thread's, but for hurry and kill; lock: NULL once
                                   it is closed */
    const char *stop;           /* lock; the argument of OnStop; NULL: goes on */
    const char *running;        /* lock; the hook; NULL: none */
    int64_t begun, limit;       /* lock; ms: since when, and for how long it may */
    int64_t stop_at;            /* lock; ms: when what else runs must end; 0: not yet */
    bool hurried;               /* lock; `stop_at` was set */
    bool said;                  /* lock; the log says that OnHeartbeat takes long */
    /* The thread's: */
    char *error; /* the last one; or NULL */
    int64_t error_at;
    unsigned repeated; /* since the log had it */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* of what `lock` guards */
static struct set *sets;       /* lock */
static unsigned last_serial;   /* main thread's */

/* -- Errors -- */

static bool is_repeated(const struct set *s, const char *text)
{
    return s->error != NULL && strcmp(s->error, text) == 0 &&
           clock_milliseconds() - s->error_at < REPEAT;
}

static void tell_repeated(struct set *s)
{
    if (s->repeated > 0)
        log_warning("the last error came %u more times", s->repeated);
    s->repeated = 0;
}

/* A hook that fails at each heartbeat is told of once a minute. */
static void report(struct set *s, struct buffer *error)
{
    const char *text =
        buffer_append(error, "", 1) && error->data[0] != '\0' ? error->data : "failed";
    if (is_repeated(s, text)) {
        s->repeated++;
        return;
    }
    tell_repeated(s);
    log_trace(LOG_LEVEL_ERROR, text);
    free(s->error);
    s->error = strdup(text);
    s->error_at = clock_milliseconds();
}

/* -- Calling -- */

static void note_running(struct set *s, const char *name, int64_t limit)
{
    pthread_mutex_lock(&lock);
    s->running = name;
    s->begun = clock_milliseconds();
    s->limit = limit;
    if (name == NULL)
        s->stop_at = 0; /* what follows is OnStop, with a limit of its own */
    pthread_mutex_unlock(&lock);
}

/* The log's lines name the hook where those of scripts name the script. */
static void call(struct set *s, enum config_hook hook, const char *why, int64_t limit)
{
    struct buffer error = {0};
    const char *name = config_hook_name(hook);
    note_running(s, name, limit);
    log_set_script(name);
    if (!config_hooks_call(s->hooks, hook, why, limit, &error))
        report(s, &error);
    log_set_script(NULL);
    note_running(s, NULL, 0);
    buffer_free(&error);
}

/* Sleeps until `due`, or for ever if there is nothing to do. Returns why to stop, or
 * NULL. */
static const char *nap(struct set *s, int64_t due)
{
    int64_t left = due - clock_milliseconds();
    struct timespec until = clock_after(left > 0 ? left : 0);
    pthread_mutex_lock(&lock);
    int error = 0;
    while (s->stop == NULL && error == 0)
        error = s->config->on_heartbeat ? pthread_cond_timedwait(&changed, &lock, &until)
                                        : pthread_cond_wait(&changed, &lock);
    const char *stop = s->stop;
    pthread_mutex_unlock(&lock);
    return stop;
}

/* Says once that OnHeartbeat takes longer than its period. */
static void note_late(struct set *s, int64_t took, int64_t period)
{
    pthread_mutex_lock(&lock);
    bool first = !s->said;
    s->said = true;
    pthread_mutex_unlock(&lock);
    if (first)
        log_warning("OnHeartbeat took %.3f s, longer than MinFileInfoTime (%d ms): it is "
                    "called less often",
                    (double)took / SECOND, (int)period);
}

/* Calls OnHeartbeat in its period. What would be due while it runs is left out. Returns
 * why it is time to stop. */
static const char *beat(struct set *s)
{
    int64_t period = s->config->min_file_info_time;
    period = period < SHORTEST ? SHORTEST : period;
    int64_t due = clock_milliseconds() + period;
    const char *stop;
    while ((stop = nap(s, due)) == NULL) {
        int64_t begun = clock_milliseconds();
        call(s, CONFIG_ON_HEARTBEAT, "heartbeat", s->config->request_timeout_max);
        int64_t now = clock_milliseconds();
        if (now - begun > period)
            note_late(s, now - begun, period);
        due = due + period > now ? due + period : now + period;
    }
    return stop;
}

/* -- The thread -- */

static bool older_runs_locked(const struct set *s)
{
    for (const struct set *o = sets; o != NULL; o = o->next)
        if (o->serial < s->serial)
            return true;
    return false;
}

/* Waits for the hooks of the configuration before. false: it is time to stop. */
static bool await_older(struct set *s)
{
    struct timespec until = clock_after(HOOKS_HANDOVER);
    int error = 0;
    pthread_mutex_lock(&lock);
    while (older_runs_locked(s) && s->stop == NULL && error == 0)
        error = pthread_cond_timedwait(&changed, &lock, &until);
    bool go_on = s->stop == NULL;
    pthread_mutex_unlock(&lock);
    return go_on;
}

static bool open_library(struct set *s)
{
    struct buffer error = {0};
    bool good = config_hooks_open(s->hooks, s->config, &error);
    if (!good)
        log_error("the hooks do not run: %.*s", (int)error.len,
                  error.data == NULL ? "" : error.data);
    buffer_free(&error);
    return good;
}

static void destroy(struct set *s)
{
    config_hooks_free(s->hooks);
    config_unref(s->config);
    free(s->error);
    free(s);
}

static void leave(struct set *s)
{
    pthread_mutex_lock(&lock);
    struct set **link = &sets;
    while (*link != s)
        link = &(*link)->next;
    *link = s->next;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void live(struct set *s)
{
    if (!await_older(s) || !open_library(s))
        return;
    call(s, CONFIG_ON_START, s->why, s->config->request_timeout_max);
    const char *stop = beat(s);
    call(s, CONFIG_ON_STOP, stop, STOP_TIME);
    tell_repeated(s);
}

/* The state is closed while the set is in the list, as that may take its time, too; but
 * from now on nobody else uses it. */
static void close_state(struct set *s)
{
    struct config_hooks *hooks = s->hooks;
    pthread_mutex_lock(&lock);
    s->hooks = NULL;
    pthread_mutex_unlock(&lock);
    config_hooks_free(hooks);
}

static void *run(void *arg)
{
    struct set *s = arg;
    struct memory_thread memory;
    memory_join(&memory);
    live(s);
    close_state(s);
    leave(s);
    destroy(s);
    memory_leave(&memory);
    return NULL;
}

/* -- The main thread -- */

static bool start_thread(struct set *s)
{
    pthread_t thread;
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, LIMIT_STACK_BYTES);
    int error = pthread_create(&thread, &attributes, run, s);
    pthread_attr_destroy(&attributes);
    if (error != 0)
        log_error("the hooks do not run: %s", strerror(error));
    return error == 0;
}

/* Tells all that are there to stop. */
static void tell_to_stop(const char *why, bool hurry)
{
    pthread_mutex_lock(&lock);
    for (struct set *s = sets; s != NULL; s = s->next) {
        if (s->stop == NULL)
            s->stop = why;
        if (!hurry || s->hurried || s->hooks == NULL)
            continue;
        s->hurried = true;
        config_hooks_hurry(s->hooks, LAST_TIME);
        s->stop_at = clock_milliseconds() + LAST_TIME;
    }
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}

static void add(struct set *s)
{
    pthread_mutex_lock(&lock);
    s->next = sets;
    sets = s;
    pthread_mutex_unlock(&lock);
}

void hooks_start(struct config *config, struct config_hooks *hooks, const char *why)
{
    if (last_serial == 0)
        clock_init_condition(&changed);
    tell_to_stop(why, false);
    last_serial++;
    if (hooks == NULL)
        return;
    struct set *s = calloc(1, sizeof *s);
    if (s == NULL) {
        log_error("the hooks do not run: out of memory");
        config_hooks_free(hooks);
        return;
    }
    *s = (struct set){
        .serial = last_serial, .config = config_ref(config), .why = why, .hooks = hooks};
    add(s);
    if (!start_thread(s)) {
        leave(s);
        destroy(s);
    }
}

bool hooks_stop(int64_t timeout)
{
    struct timespec until = clock_after(timeout);
    int error = 0;
    tell_to_stop("stop", true);
    pthread_mutex_lock(&lock);
    while (sets != NULL && error == 0)
        error = pthread_cond_timedwait(&changed, &lock, &until);
    bool all = sets == NULL;
    const char *name = all ? NULL : sets->running;
    pthread_mutex_unlock(&lock);
    if (!all)
        log_warning("%s was cut off: it did not end", name == NULL ? "a hook" : name);
    return all;
}

/* -- The heartbeat -- */

/* What the heartbeat has to do about a set once the lock is released. */
struct finding {
    const char *late; /* NULL: nothing to say */
    int64_t ran;
    const struct config_hooks *kill; /* NULL: nothing to kill */
};

static struct finding look_locked(struct set *s, int64_t now)
{
    struct finding f = {0};
    int64_t ran = now - s->begun;
    if (s->running == NULL)
        return f;
    if (!s->said && ran >= HOOKS_LATE && ran > s->config->min_file_info_time) {
        s->said = true;
        f.late = s->running;
        f.ran = ran;
    }
    if ((s->limit > 0 && ran > s->limit) || (s->stop_at > 0 && now > s->stop_at))
        f.kill = s->hooks;
    return f;
}

void hooks_tick(void)
{
    enum { BATCH = 16 }; /* more than that hang only after as many reloads */
    struct finding found[BATCH];
    int count = 0;
    int64_t now = clock_milliseconds();
    pthread_mutex_lock(&lock);
    for (struct set *s = sets; s != NULL && count < BATCH; s = s->next)
        found[count++] = look_locked(s, now);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < count; i++) {
        if (found[i].late != NULL)
            log_warning("%s has run for %d s; no hook is called before it has ended",
                        found[i].late, (int)(found[i].ran / SECOND));
        if (found[i].kill != NULL)
            config_hooks_kill(found[i].kill);
    }
}
