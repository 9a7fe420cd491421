/* Compiling once. Workers load versions; the sweeper forgets those that are out of date.
 * The thread that starts a version fills it in with no lock held. The pool's lock guards
 * the places and `done`. Before `done` only this thread touches the rest; after it
 * nothing of a version changes. */
#include "pool/version.h"

#include "base/clock.h"
#include "pool/failure.h"

#include <stdatomic.h>
#include <stdlib.h>

struct version {
    atomic_uint refs;
    bool done;                 /* lock */
    pthread_cond_t loaded;     /* lock */
    struct script_code *code;  /* NULL: it could not be read */
    struct script_error error; /* then: why */
    struct config *config;     /* what it was compiled with; counted */
};

static struct version *version_create(struct config *config)
{
    struct version *v = calloc(1, sizeof *v);
    if (v == NULL || !clock_init_condition(&v->loaded)) {
        free(v);
        return NULL;
    }
    atomic_init(&v->refs, 1);
    v->config = config_ref(config);
    return v;
}

void version_unref(struct version *v)
{
    if (v == NULL || atomic_fetch_sub(&v->refs, 1) != 1)
        return;
    script_code_unref(v->code);
    state_error_clear(&v->error);
    config_unref(v->config);
    pthread_cond_destroy(&v->loaded);
    free(v);
}

struct version *version_ref_loaded_locked(struct version *v)
{
    if (v == NULL || !v->done)
        return NULL;
    atomic_fetch_add(&v->refs, 1);
    return v;
}

/* Another configuration may confine or limit scripts differently. A file that could not
 * be read is not remembered, so there is nothing to compare. */
bool version_is_current(const struct version *v, const struct config *config)
{
    return v->code != NULL && v->config == config && script_code_is_current(v->code);
}

struct script_code *version_code(const struct version *v)
{
    return v->code;
}

/* Refers to the version at the place, and waits while another thread is loading it.
 * `ours`: it is new, and this thread must load it. `waited`: it was finished while this
 * thread waited, so it needs no check; all threads that waited share the result. NULL:
 * out of memory. */
static struct version *join(struct version **place, struct lock *lock,
                            struct config *config, bool *ours, bool *waited)
{
    struct version *spare = version_create(config);
    if (spare == NULL)
        return NULL;
    lock_acquire(lock);
    struct version *v = *place;
    *ours = v == NULL;
    if (*ours) {
        v = *place = spare;
        spare = NULL;
    }
    atomic_fetch_add(&v->refs, 1);
    *waited = !*ours && !v->done && v->config == config;
    while (!*ours && !v->done)
        lock_wait_locked(lock, &v->loaded, 0);
    lock_release(lock);
    version_unref(spare);
    return v;
}

void version_forget(struct version **place, struct lock *lock, struct version *v)
{
    lock_acquire(lock);
    bool held = *place == v;
    if (held)
        *place = NULL;
    lock_release(lock);
    if (held)
        version_unref(v);
}

/* If a file cannot be read, the threads that wait get the error too, but it is not
 * remembered. */
static void load(struct version *v, struct version **place, struct lock *lock,
                 const char *path)
{
    v->code = script_compile(path, v->config, &v->error);
    lock_acquire(lock);
    v->done = true;
    pthread_cond_broadcast(&v->loaded);
    bool unread = v->code == NULL && *place == v;
    if (unread)
        *place = NULL;
    lock_release(lock);
    if (unread)
        version_unref(v);
}

/* Releases a version from which no states can be made; NULL then, with `error` filled. */
static struct version *check(struct version *v, struct script_error *error)
{
    const struct script_error *why =
        v->code != NULL ? script_code_error(v->code) : &v->error;
    if (why == NULL)
        return v;
    failure_copy(error, why);
    version_unref(v);
    return NULL;
}

struct version *version_hold(struct version **place, struct lock *lock, const char *path,
                             struct config *config, struct script_error *error,
                             bool *loaded)
{
    for (;;) {
        bool ours, waited;
        struct version *v = join(place, lock, config, &ours, &waited);
        if (v == NULL) {
            failure_no_memory(error);
            return NULL;
        }
        if (ours) {
            load(v, place, lock, path);
            *loaded = true;
        } else if (!waited && !version_is_current(v, config)) {
            version_forget(place, lock, v);
            version_unref(v);
            continue;
        }
        return check(v, error);
    }
}
