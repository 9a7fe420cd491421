/* Loading a configuration in a thread of its own, for the main thread.
 *
 * `lock` guards `abandoned`, and the fields of a struct loading that say so. Its last
 * user frees it: the thread if it was given up, else loading_end, which joins the thread.
 * So at the start the thread is gone before signals are blocked; it would still take
 * some.
 */
#include "daemon/loading.h"

#include "base/clock.h"
#include "base/deadline.h"
#include "lua/hook_api.h"
#include "lua/limit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct loading {
    pthread_t thread;           /* main thread's, if `started` */
    bool started;               /* main thread's */
    char *file;                 /* immutable; NULL: defaults */
    uint32_t deadline;          /* immutable; on clock_ticks */
    pthread_cond_t over;        /* of `done` */
    bool done, given_up;        /* lock */
    bool wants_hooks;           /* immutable */
    struct config *config;      /* the thread's until `done` */
    struct config_hooks *hooks; /* as `config` */
    char *errors;               /* as `config` */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int abandoned; /* lock; threads that were given up, and still run */

static void destroy(struct loading *l)
{
    pthread_cond_destroy(&l->over);
    config_hooks_free(l->hooks);
    config_unref(l->config);
    free(l->errors);
    free(l->file);
    free(l);
}

static void load(struct loading *l)
{
    size_t len;
    FILE *errors = open_memstream(&l->errors, &len);
    if (errors == NULL)
        return;
    l->config =
        config_load_hooks(l->file, errors, &hook_api, l->wants_hooks ? &l->hooks : NULL);
    fclose(errors);
}

static void *run(void *arg)
{
    struct loading *l = arg;
    load(l);
    pthread_mutex_lock(&lock);
    l->done = true;
    bool given_up = l->given_up;
    pthread_cond_signal(&l->over);
    pthread_mutex_unlock(&lock);
    if (!given_up)
        return NULL;
    destroy(l);
    pthread_mutex_lock(&lock);
    abandoned--;
    pthread_mutex_unlock(&lock);
    return NULL;
}

static bool start_thread(struct loading *l)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LIMIT_STACK_BYTES);
    l->started = pthread_create(&l->thread, &attributes, run, l) == 0;
    pthread_attr_destroy(&attributes);
    return l->started;
}

struct loading *loading_begin(const char *file, bool wants_hooks)
{
    struct loading *l = calloc(1, sizeof *l);
    if (l == NULL || (file != NULL && (l->file = strdup(file)) == NULL)) {
        free(l);
        return NULL;
    }
    l->wants_hooks = wants_hooks;
    clock_init_condition(&l->over);
    l->deadline = deadline_after(clock_ticks(), LOADING_TIME);
    if (!start_thread(l))
        run(l);
    return l;
}

bool loading_wait(struct loading *l, int64_t timeout)
{
    int64_t left = deadline_left(l->deadline, clock_ticks());
    struct timespec until = clock_after(left < timeout ? left > 0 ? left : 0 : timeout);
    int error = 0;
    pthread_mutex_lock(&lock);
    while (!l->done && error == 0)
        error = pthread_cond_timedwait(&l->over, &lock, &until);
    bool done = l->done;
    pthread_mutex_unlock(&lock);
    return done || left <= timeout;
}

static char *late_message(const struct loading *l)
{
    char *text;
    return asprintf(&text,
                    "%s: did not come to its end within %d seconds: it may wait for"
                    " a command or a device\n",
                    l->file == NULL ? "defaults" : l->file, LOADING_TIME / 1000) < 0
               ? NULL
               : text;
}

struct config *loading_end(struct loading *l, char **errors, struct config_hooks **hooks)
{
    char *late = late_message(l);
    if (hooks != NULL)
        *hooks = NULL;
    pthread_t thread = l->thread; /* a thread that is given up may free `l` at once */
    pthread_mutex_lock(&lock);
    bool done = l->done;
    l->given_up = !done;
    abandoned += !done;
    pthread_mutex_unlock(&lock);
    if (!done) {
        pthread_detach(thread);
        *errors = late;
        return NULL;
    }
    if (l->started)
        pthread_join(thread, NULL); /* it is about to end */
    free(late);
    struct config *config = l->config;
    *errors = l->errors;
    l->config = NULL;
    l->errors = NULL;
    if (hooks != NULL) {
        *hooks = l->hooks;
        l->hooks = NULL;
    }
    destroy(l);
    return config;
}

bool loading_is_over(void)
{
    pthread_mutex_lock(&lock);
    bool over = abandoned == 0;
    pthread_mutex_unlock(&lock);
    return over;
}

struct config *loading_run(const char *file, char **errors, struct config_hooks **hooks)
{
    struct loading *l = loading_begin(file, hooks != NULL);
    *errors = NULL;
    if (l == NULL)
        return NULL;
    loading_wait(l, LOADING_TIME);
    return loading_end(l, errors, hooks);
}
