/* The face of the folder config/: references to a configuration, the published one, and
 * what differs between two.
 *
 * config_load runs on the thread that loads, see daemon/loading.h. A struct config does
 * not change once config_load has returned it; its count of references is atomic. The
 * mutex `publishing` guards `published`, and is held for a few pointer operations only;
 * `generation` is atomic. */
#include "config.h"

#include "base/process.h"
#include "config/hook.h"
#include "config/kind.h"
#include "config/load.h"
#include "config/option.h"
#include "config/print.h"
#include "http/accesslog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* -- The struct: counted, freed by the table of options -- */

struct counted {
    struct config config; /* first: a struct config * is a struct counted * */
    atomic_uint references;
};

static void free_config(struct config *c)
{
    for (size_t i = 0; i < option_count; i++)
        kind_free(c, &option_rows[i]);
    accesslog_free(c->access_log_lines);
    free(c->file);
    free(c->warnings);
    free(c);
}

struct config *config_ref(struct config *c)
{
    atomic_fetch_add_explicit(&((struct counted *)c)->references, 1,
                              memory_order_relaxed);
    return c;
}

void config_unref(struct config *c)
{
    if (c != NULL && atomic_fetch_sub_explicit(&((struct counted *)c)->references, 1,
                                               memory_order_acq_rel) == 1)
        free_config(c);
}

/* -- Loading -- */

struct config *config_load(const char *file, FILE *errors)
{
    return config_load_hooks(file, errors, NULL, NULL);
}

struct config *config_load_hooks(const char *file, FILE *errors,
                                 const struct config_library *library,
                                 struct config_hooks **hooks)
{
    if (hooks != NULL)
        *hooks = NULL;
    struct counted *counted = calloc(1, sizeof *counted);
    if (counted == NULL) {
        fprintf(errors, "%s: out of memory\n", file != NULL ? file : "defaults");
        return NULL;
    }
    atomic_init(&counted->references, 1);
    struct config *c = &counted->config;
    if (load_into(c, file, errors, library, hooks))
        return c;
    config_log_warnings(c); /* a name that is ignored may explain the mistake */
    config_unref(c);
    return NULL;
}

void config_log_warnings(const struct config *c)
{
    log_lines(LOG_LEVEL_WARNING, c->warnings);
}

/* -- The published configuration -- */

static pthread_mutex_t publishing = PTHREAD_MUTEX_INITIALIZER;
static struct config *published;
static atomic_uint generation;

void config_publish(struct config *c)
{
    pthread_mutex_lock(&publishing);
    struct config *old = published;
    published = c;
    atomic_fetch_add_explicit(&generation, 1, memory_order_release);
    pthread_mutex_unlock(&publishing);
    if (c != NULL)
        config_log_warnings(c);
    config_unref(old);
}

struct config *config_current(void)
{
    pthread_mutex_lock(&publishing);
    struct config *c = published != NULL ? config_ref(published) : NULL;
    pthread_mutex_unlock(&publishing);
    return c;
}

unsigned config_generation(void)
{
    return atomic_load_explicit(&generation, memory_order_acquire);
}

/* -- Hooks -- */

const char *config_hook_name(enum config_hook hook)
{
    return hook_name(hook);
}

bool config_hooks_open(struct config_hooks *h, const struct config *config,
                       struct buffer *error)
{
    return hook_open(h, config, error);
}

bool config_hooks_call(struct config_hooks *h, enum config_hook hook, const char *why,
                       int64_t timeout, struct buffer *error)
{
    return hook_call(h, hook, why, timeout, error);
}

int64_t config_hooks_left(struct lua_State *L)
{
    return engine_left(engine_of(L));
}

void config_hooks_check(struct lua_State *L)
{
    if (config_hooks_left(L) == 0)
        engine_raise_late(L, 1);
}

void config_hooks_hurry(struct config_hooks *h, int64_t time)
{
    hook_hurry(h, time);
}

void config_hooks_kill(const struct config_hooks *h)
{
    process_kill_left(h);
}

void config_hooks_free(struct config_hooks *h)
{
    hook_free(h);
}

/* -- Comparing -- */

bool config_needs_restart(const struct config *old, const struct config *new_, char *text,
                          size_t size)
{
    size_t len = 0;
    bool found = false;
    if (size > 0)
        text[0] = '\0';
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *o = &option_rows[i];
        if (!o->restart || kind_equal(old, new_, o))
            continue;
        if (len < size)
            len += (size_t)snprintf(text + len, size - len, "%s%s", found ? ", " : "",
                                    o->name);
        found = true;
    }
    return found;
}

void config_print_options(FILE *out)
{
    print_options(out);
}

const char *config_error_page(const struct config *c, int status)
{
    const struct config_page *p = c->error_pages;
    while (p != NULL && p->status != 0 && p->status != status)
        p++;
    return p == NULL || p->status == 0 ? NULL : p->path;
}

bool config_wants_status(const struct config *c)
{
    return c->status_path[0] != '\0' || c->status_listen[0] != '\0';
}
