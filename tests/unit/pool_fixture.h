/* What the tests of pool/ share: a script room of their own. It counts what the pool
 * compiles, makes and closes, fails on demand, and insists that the pool's lock is never
 * held meanwhile. File 7 is /srv/www/7.lua. No closer is started, so every state is
 * closed by the thread that discards it. */
#ifndef POOL_FIXTURE_H
#define POOL_FIXTURE_H

#include "lua/directory.h"
#include "pool.h"

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

enum { FILES = 16384, THREADS = 16 };

/* For every thread: cmocka's own assertions work in the test's thread only. */
#define require(x)                                                                       \
    do {                                                                                 \
        if (!(x)) {                                                                      \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #x);                      \
            abort();                                                                     \
        }                                                                                \
    } while (0)

/* -- The files -- */

struct file {
    atomic_uint version;
    atomic_bool missing;   /* cannot be read */
    atomic_bool broken;    /* does not compile */
    atomic_int unloadable; /* so many states fail to load; -1: all */
    atomic_int compiled, created, closed;
    atomic_int live, most_live; /* being made up to wholly closed */
};

static struct file files[FILES];
static atomic_int live, most_live, codes;
static atomic_uint generation;

/* Closed, it holds up every compilation. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t opened;
    bool closed;
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false};

static inline void set_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

static inline void pass_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.closed)
        pthread_cond_wait(&gate.opened, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static inline const char *path_of(int i, char *path)
{
    sprintf(path, "/srv/www/%d.lua", i);
    return path;
}

static inline void edit(int i)
{
    atomic_fetch_add(&files[i].version, 1);
    atomic_fetch_add(&generation, 1);
}

static inline void raise_to(atomic_int *most, int n)
{
    int old = atomic_load(most);
    while (old < n && !atomic_compare_exchange_weak(most, &old, n))
        ;
}

/* -- The configuration -- */

static struct config *published;

struct config *config_ref(struct config *c)
{
    return c;
}

void config_unref(struct config *c)
{
    (void)c;
}

struct config *config_current(void)
{
    require(!pool_is_locked_here());
    return published;
}

unsigned config_generation(void)
{
    return atomic_load(&generation);
}

/* -- The script room -- */

void directory_make_own(struct directory *d)
{
    d->own = false;
}

void directory_enter(struct directory *d, const char *script)
{
    require(!d->own && script[0] == '/');
    require(!pool_is_locked_here());
}

void directory_release(struct directory *d)
{
    require(d->at.source == NULL);
}

struct script_code {
    atomic_int refs;
    struct file *file;
    unsigned version;
    struct script_error error;
};

struct script {
    struct script_code *code;
    void *owner;
    unsigned requests, failures;
    int id;
    char root[32];
    atomic_bool busy; /* checked out, as the test sees it */
};

void state_error_clear(struct script_error *e)
{
    free(e->message);
    *e = (struct script_error){0};
}

static inline void set_error(struct script_error *error, int status, const char *message)
{
    require(error->message == NULL);
    error->status = status;
    error->message = strdup(message);
}

struct script_code *script_compile(const char *path, const struct config *config,
                                   struct script_error *error)
{
    (void)config;
    require(!pool_is_locked_here());
    struct file *f = &files[atoi(path + strlen("/srv/www/"))];
    atomic_fetch_add(&f->compiled, 1);
    unsigned version = atomic_load(&f->version);
    pass_gate();
    if (atomic_load(&f->missing)) {
        set_error(error, 404, "no such file");
        return NULL;
    }
    struct script_code *code = calloc(1, sizeof *code);
    atomic_init(&code->refs, 1);
    atomic_fetch_add(&codes, 1);
    code->file = f;
    code->version = version;
    if (atomic_load(&f->broken))
        set_error(&code->error, 500, "syntax error");
    return code;
}

const struct script_error *script_code_error(const struct script_code *code)
{
    return code->error.status == 0 ? NULL : &code->error;
}

struct script_code *script_code_ref(struct script_code *code)
{
    atomic_fetch_add(&code->refs, 1);
    return code;
}

void script_code_unref(struct script_code *code)
{
    require(!pool_is_locked_here());
    if (code == NULL || atomic_fetch_sub(&code->refs, 1) != 1)
        return;
    atomic_fetch_sub(&codes, 1);
    state_error_clear(&code->error);
    free(code);
}

bool script_code_is_current(const struct script_code *code)
{
    require(!pool_is_locked_here());
    return atomic_load(&code->file->version) == code->version;
}

static inline bool fails_to_load(struct file *f)
{
    int n = atomic_load(&f->unloadable);
    if (n > 0)
        atomic_fetch_sub(&f->unloadable, 1);
    return n != 0;
}

struct script *script_create(struct script_code *code, const char *root,
                             struct config *config, int id, struct script_error *error)
{
    (void)config;
    require(!pool_is_locked_here());
    require(id >= 1);
    struct file *f = code->file;
    raise_to(&f->most_live, atomic_fetch_add(&f->live, 1) + 1);
    raise_to(&most_live, atomic_fetch_add(&live, 1) + 1);
    if (fails_to_load(f)) {
        set_error(error, 500, "error at load");
        atomic_fetch_sub(&f->live, 1);
        atomic_fetch_sub(&live, 1);
        return NULL;
    }
    struct script *s = calloc(1, sizeof *s);
    s->code = script_code_ref(code);
    s->id = id;
    snprintf(s->root, sizeof s->root, "%s", root);
    atomic_fetch_add(&f->created, 1);
    return s;
}

void script_close(struct script *s)
{
    require(!pool_is_locked_here());
    require(!atomic_load(&s->busy));
    struct file *f = s->code->file;
    atomic_fetch_add(&f->closed, 1);
    script_code_unref(s->code);
    free(s);
    atomic_fetch_sub(&f->live, 1);
    atomic_fetch_sub(&live, 1);
}

bool state_is_current(struct script *s)
{
    require(!pool_is_locked_here());
    return script_code_is_current(s->code);
}

void state_set_owner(struct script *s, void *owner)
{
    s->owner = owner;
}

void *state_owner(const struct script *s)
{
    return s->owner;
}

unsigned state_requests(const struct script *s)
{
    return s->requests;
}

size_t state_memory(const struct script *s)
{
    return 1000 * (size_t)s->requests;
}

unsigned state_failures(const struct script *s)
{
    return s->failures;
}

int state_id(const struct script *s)
{
    return s->id;
}

/* -- Helpers -- */

static struct pool *pool;
static struct config config;

static inline int set_up(void **unused)
{
    (void)unused;
    memset(files, 0, sizeof files);
    atomic_store(&most_live, 0);
    config = (struct config){.worker_threads = 4,
                             .lua_states = 1,
                             .lua_max_states = 6,
                             .lua_total_states = 256,
                             .lua_max_search_retries = 3};
    published = &config;
    pool = pool_create();
    return pool == NULL;
}

/* At the end of every test nothing is left of what was compiled and made. */
static inline int tear_down(void **unused)
{
    (void)unused;
    pool_destroy(pool);
    require(atomic_load(&live) == 0);
    require(atomic_load(&codes) == 0);
    return 0;
}

static inline struct script *try_take(int i, struct config *c, struct script_error *error)
{
    char path[32];
    struct script *s = pool_checkout(pool, path_of(i, path), "/srv/www", c, error);
    require((s == NULL) == (error->status != 0));
    if (s != NULL) {
        require(!atomic_exchange(&s->busy, true));
        require(s->code->file == &files[i]);
        s->requests++;
    }
    return s;
}

static inline struct script *take(int i)
{
    struct script_error error = {0};
    struct script *s = try_take(i, &config, &error);
    require(s != NULL);
    return s;
}

static inline void give(struct script *s)
{
    require(atomic_exchange(&s->busy, false));
    pool_checkin(pool, s, true);
}

static inline void ask(int i)
{
    give(take(i));
}

static inline int failing_status(int i)
{
    struct script_error error = {0};
    require(try_take(i, &config, &error) == NULL);
    require(error.message != NULL);
    int status = error.status;
    state_error_clear(&error);
    return status;
}

static inline int64_t milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline void breathe(void)
{
    struct timespec t = {0, 1000000};
    nanosleep(&t, NULL);
}

static inline void start(pthread_t *threads, int n, void *(*run)(void *))
{
    for (int i = 0; i < n; i++)
        require(pthread_create(&threads[i], NULL, run, (void *)(intptr_t)i) == 0);
}

static inline void finish(const pthread_t *threads, int n)
{
    for (int i = 0; i < n; i++)
        require(pthread_join(threads[i], NULL) == 0);
}

static atomic_int arrived;
static pid_t tids[THREADS];

static inline void arrive(int i)
{
    tids[i] = (pid_t)syscall(SYS_gettid);
    atomic_fetch_add(&arrived, 1);
}

static inline bool is_asleep(pid_t tid)
{
    char name[64], state = 0;
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)tid);
    FILE *f = fopen(name, "r");
    require(f != NULL);
    require(fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
    fclose(f);
    return state == 'S';
}

/* Waits until all threads are inside pool_checkout and do nothing but wait. */
static inline void wait_until_stuck(int threads)
{
    while (atomic_load(&arrived) < threads)
        breathe();
    for (int quiet = 0; quiet < 5; quiet++) {
        for (int i = 0; i < threads; i++)
            if (!is_asleep(tids[i]))
                quiet = -1;
        breathe();
    }
}

static inline void *take_and_give(void *n)
{
    arrive((int)(intptr_t)n);
    ask(0);
    return NULL;
}

static inline void crowd(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    atomic_store(&arrived, 0);
    set_gate(true);
    start(threads, THREADS, run);
    wait_until_stuck(THREADS);
    set_gate(false);
    finish(threads, THREADS);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

/* A deadlock ends the program. */
#define run_pool(tests) (alarm(300), cmocka_run_group_tests(tests, NULL, NULL))

#endif
