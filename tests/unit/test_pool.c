/* The pool, with a script room of our own: it counts what the pool compiles, makes and
 * closes, breaks it on demand, and insists that the pool's lock is never held then. */
#include "pool.h"

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

static void set_gate(bool closed)
{
    pthread_mutex_lock(&gate.lock);
    gate.closed = closed;
    pthread_cond_broadcast(&gate.opened);
    pthread_mutex_unlock(&gate.lock);
}

static void pass_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    while (gate.closed)
        pthread_cond_wait(&gate.opened, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static const char *path_of(int i, char *path)
{
    sprintf(path, "/srv/www/%d.lua", i);
    return path;
}

static void edit(int i)
{
    atomic_fetch_add(&files[i].version, 1);
    atomic_fetch_add(&generation, 1);
}

static void raise_to(atomic_int *most, int n)
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
    *e = (struct script_error){0, NULL};
}

static void set_error(struct script_error *error, int status, const char *message)
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

static bool fails_to_load(struct file *f)
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

static int set_up(void **unused)
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

/* Every test ends with nothing left of what was compiled and made. */
static int tear_down(void **unused)
{
    (void)unused;
    pool_destroy(pool);
    require(atomic_load(&live) == 0);
    require(atomic_load(&codes) == 0);
    return 0;
}

static struct script *try_take(int i, struct config *c, struct script_error *error)
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

static struct script *take(int i)
{
    struct script_error error = {0, NULL};
    struct script *s = try_take(i, &config, &error);
    require(s != NULL);
    return s;
}

static void give(struct script *s)
{
    require(atomic_exchange(&s->busy, false));
    pool_checkin(pool, s, true);
}

static void ask(int i)
{
    give(take(i));
}

static int failing_status(int i)
{
    struct script_error error = {0, NULL};
    require(try_take(i, &config, &error) == NULL);
    require(error.message != NULL);
    int status = error.status;
    state_error_clear(&error);
    return status;
}

static int64_t milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void breathe(void)
{
    struct timespec t = {0, 1000000};
    nanosleep(&t, NULL);
}

static void start(pthread_t *threads, int n, void *(*run)(void *))
{
    for (int i = 0; i < n; i++)
        require(pthread_create(&threads[i], NULL, run, (void *)(intptr_t)i) == 0);
}

static void finish(const pthread_t *threads, int n)
{
    for (int i = 0; i < n; i++)
        require(pthread_join(threads[i], NULL) == 0);
}

static atomic_int arrived;
static pid_t tids[THREADS];

static void arrive(int i)
{
    tids[i] = (pid_t)syscall(SYS_gettid);
    atomic_fetch_add(&arrived, 1);
}

static bool is_asleep(pid_t tid)
{
    char name[64], state = 0;
    snprintf(name, sizeof name, "/proc/self/task/%d/stat", (int)tid);
    FILE *f = fopen(name, "r");
    require(f != NULL);
    require(fscanf(f, "%*d (%*[^)]) %c", &state) == 1);
    fclose(f);
    return state == 'S';
}

/* All threads are inside pool_checkout and have nothing left to do but wait. */
static void wait_until_stuck(int threads)
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

/* -- Taking and giving back -- */

static void test_idle_states_are_taken_newest_first(void **unused)
{
    (void)unused;
    struct script *a = take(0), *b = take(0), *c = take(0);
    give(a);
    give(b);
    give(c);
    assert_ptr_equal(take(0), c);
    assert_ptr_equal(take(0), b);
    assert_ptr_equal(take(0), a);
    give(a);
    give(b);
    give(c);
    assert_int_equal(atomic_load(&files[0].created), 3);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
    assert_int_equal(pool_states(pool), 3);
}

static void test_first_load_makes_lua_states(void **unused)
{
    (void)unused;
    config.lua_states = 4;
    struct script *s = take(0);
    assert_int_equal(atomic_load(&files[0].created), 4);
    give(s);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 4);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void test_first_load_keeps_to_the_limits(void **unused)
{
    (void)unused;
    config.lua_states = 5;
    config.lua_max_states = 3;
    config.lua_total_states = 4;
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 3);
    ask(1);
    assert_int_equal(atomic_load(&files[1].created), 1);
    assert_int_equal(atomic_load(&files[0].closed), 0);
}

static void test_ids_are_the_smallest_free(void **unused)
{
    (void)unused;
    config.lua_max_states = 100;
    struct script *s[70];
    for (int i = 0; i < 70; i++) {
        s[i] = take(0);
        assert_int_equal(state_id(s[i]), i + 1);
    }
    atomic_store(&s[40]->busy, false);
    pool_checkin(pool, s[40], false);
    s[40] = take(0);
    assert_int_equal(state_id(s[40]), 41);
    assert_int_equal(atomic_load(&files[0].created), 71);
    for (int i = 0; i < 70; i++)
        give(s[i]);
}

static void test_scripts_of_two_roots_are_two_scripts(void **unused)
{
    (void)unused;
    struct script_error error = {0, NULL};
    ask(0);
    struct script *s = pool_checkout(pool, "/srv/www/0.lua", "/srv", &config, &error);
    assert_non_null(s);
    assert_string_equal(s->root, "/srv");
    assert_int_equal(state_id(s), 1);
    pool_checkin(pool, s, true);
    assert_int_equal(pool_states(pool), 2);
    s = take(0);
    assert_string_equal(s->root, "/srv/www");
    give(s);
}

static void test_a_state_that_is_not_reusable_is_closed(void **unused)
{
    (void)unused;
    struct script *s = take(0);
    atomic_store(&s->busy, false);
    pool_checkin(pool, s, false);
    assert_int_equal(pool_states(pool), 0);
    ask(0);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void test_lua_max_requests_renews(void **unused)
{
    (void)unused;
    config.lua_max_requests = 3;
    for (int i = 0; i < 9; i++)
        ask(0);
    assert_int_equal(atomic_load(&files[0].created), 3);
    assert_int_equal(atomic_load(&files[0].closed), 3);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void test_lua_max_errors_renews(void **unused)
{
    (void)unused;
    config.lua_max_errors = 3;
    for (unsigned i = 0; i <= 3; i++) {
        struct script *s = take(0);
        s->failures = i;
        assert_int_equal(atomic_load(&files[0].closed), 0);
        give(s);
    }
    assert_int_equal(atomic_load(&files[0].closed), 1);
    config.lua_max_errors = 0;
    struct script *s = take(0);
    s->failures = 1000;
    give(s);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 2);
    assert_int_equal(atomic_load(&files[0].closed), 1);
}

/* -- Limits -- */

static void test_busy_clones_wait_then_an_extra_state(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    struct script *s = take(0);
    int64_t began = milliseconds();
    struct script *extra = take(0);
    assert_true(milliseconds() - began >= 14);
    assert_int_equal(state_id(extra), 2);
    assert_int_equal(pool_states(pool), 2);
    give(extra);
    assert_int_equal(pool_states(pool), 1);
    give(s);
    assert_int_equal(pool_states(pool), 1);
    assert_ptr_equal(take(0), s);
    give(s);
}

static void test_no_retries_mean_no_wait(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 0;
    struct script *s = take(0);
    give(take(0));
    assert_int_equal(atomic_load(&files[0].closed), 1);
    give(s);
    assert_int_equal(pool_states(pool), 1);
}

static void *take_and_give(void *n)
{
    arrive((int)(intptr_t)n);
    ask(0);
    return NULL;
}

static void test_a_waiter_gets_what_comes_back(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 1000000;
    struct script *s = take(0);
    pthread_t threads[THREADS];
    atomic_store(&arrived, 0);
    start(threads, THREADS, take_and_give);
    wait_until_stuck(THREADS);
    give(s);
    finish(threads, THREADS);
    assert_int_equal(atomic_load(&files[0].created), 1);
    assert_int_equal(pool_states(pool), 1);
}

static void test_a_full_pool_of_busy_states_gives_an_extra_one(void **unused)
{
    (void)unused;
    config.lua_total_states = 2;
    struct script *a = take(0), *b = take(1), *c = take(2);
    assert_int_equal(pool_states(pool), 3);
    give(c);
    give(b);
    give(a);
    assert_int_equal(pool_states(pool), 2);
    assert_int_equal(atomic_load(&files[2].closed), 1);
}

static void test_a_full_pool_evicts_the_oldest_idle_state(void **unused)
{
    (void)unused;
    config.lua_total_states = 2;
    struct script *old = take(0), *new_ = take(0);
    give(old);
    give(new_);
    ask(1);
    assert_int_equal(atomic_load(&files[0].closed), 1);
    assert_ptr_equal(take(0), new_);
    give(new_);
    assert_int_equal(pool_states(pool), 2);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void test_a_popular_script_survives_a_crawl(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 50; i++)
        ask(0);
    for (int i = 1; i <= 1000; i++)
        ask(i);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 1);
    assert_int_equal(pool_states(pool), 8);
}

static void test_ten_requests_are_enough_to_survive_it(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 10; i++)
        ask(0);
    for (int i = 1; i <= 1000; i++)
        ask(i);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 1);
}

static void test_a_popular_script_survives_a_crawl_that_asks_thrice(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 50; i++)
        ask(0);
    for (int i = 3; i < 3000; i++)
        ask(i / 3);
    ask(0);
    assert_int_equal(atomic_load(&files[0].created), 1);
}

static void test_yesterdays_favourite_goes_at_last(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 1000; i++)
        ask(0);
    for (int i = 1; i < 10000; i++)
        ask(i);
    assert_int_equal(atomic_load(&files[0].closed), 1);
}

static void test_new_favourites_displace_old_ones(void **unused)
{
    (void)unused;
    config.lua_total_states = 4;
    for (int i = 0; i < 40; i++)
        ask(i % 4);
    for (int i = 0; i < 400; i++)
        ask(4 + i % 4);
    int before = 0, after = 0;
    for (int i = 4; i < 8; i++)
        before += atomic_load(&files[i].created);
    for (int i = 0; i < 400; i++)
        ask(4 + i % 4);
    for (int i = 4; i < 8; i++)
        after += atomic_load(&files[i].created);
    assert_int_equal(after, before);
}

/* -- Compiling -- */

static void *fail_once(void *n)
{
    arrive((int)(intptr_t)n);
    int status = failing_status(0);
    require(status == (atomic_load(&files[0].missing) ? 404 : 500));
    return NULL;
}

static void crowd(void *(*run)(void *))
{
    pthread_t threads[THREADS];
    atomic_store(&arrived, 0);
    set_gate(true);
    start(threads, THREADS, run);
    wait_until_stuck(THREADS);
    set_gate(false);
    finish(threads, THREADS);
}

static void test_a_crowd_compiles_once(void **unused)
{
    (void)unused;
    config.lua_max_search_retries = 1000000;
    crowd(take_and_give);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
    assert_in_range(atomic_load(&files[0].created), 1, 6);
    assert_int_equal(atomic_load(&files[0].closed), 0);
}

static void test_a_crowd_at_a_broken_script_compiles_once(void **unused)
{
    (void)unused;
    atomic_store(&files[0].broken, true);
    crowd(fail_once);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void test_a_crowd_at_a_missing_file_shares_the_answer(void **unused)
{
    (void)unused;
    atomic_store(&files[0].missing, true);
    crowd(fail_once);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void test_compile_errors_are_remembered(void **unused)
{
    (void)unused;
    atomic_store(&files[0].broken, true);
    for (int i = 0; i < 100; i++)
        assert_int_equal(failing_status(0), 500);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
    edit(0);
    assert_int_equal(failing_status(0), 500);
    assert_int_equal(failing_status(0), 500);
    assert_int_equal(atomic_load(&files[0].compiled), 2);
    atomic_store(&files[0].broken, false);
    edit(0);
    ask(0);
    assert_int_equal(atomic_load(&files[0].compiled), 3);
}

static void test_a_broken_script_evicts_nobody(void **unused)
{
    (void)unused;
    config.lua_total_states = 1;
    ask(0);
    atomic_store(&files[1].broken, true);
    assert_int_equal(failing_status(1), 500);
    assert_int_equal(atomic_load(&files[0].closed), 0);
}

static void test_missing_files_are_not_remembered(void **unused)
{
    (void)unused;
    atomic_store(&files[0].missing, true);
    assert_int_equal(failing_status(0), 404);
    assert_int_equal(failing_status(0), 404);
    assert_int_equal(atomic_load(&files[0].compiled), 2);
    atomic_store(&files[0].missing, false);
    ask(0);
}

static void test_what_is_remembered_is_bounded(void **unused)
{
    (void)unused;
    config.lua_total_states = 8;
    for (int i = 0; i < 2000; i++) {
        atomic_store(&files[i].broken, i % 2 == 0);
        if (i % 2 == 0)
            assert_int_equal(failing_status(i), 500);
        else
            ask(i);
    }
    assert_in_range(atomic_load(&codes), 8, 16);
    config.lua_total_states = 2;
    for (int i = 0; i < 100; i++)
        assert_int_equal(failing_status(0), 500);
    assert_in_range(atomic_load(&codes), 1, 8 + 2);
}

static void test_states_that_fail_to_load_leave_no_trace(void **unused)
{
    (void)unused;
    config.lua_total_states = 2;
    config.lua_max_states = 2;
    atomic_store(&files[0].unloadable, -1);
    for (int i = 0; i < 100; i++)
        assert_int_equal(failing_status(0), 500);
    assert_int_equal(pool_states(pool), 0);
    atomic_store(&files[0].unloadable, 0);
    struct script *a = take(0), *b = take(0);
    assert_int_equal(state_id(a), 1);
    assert_int_equal(state_id(b), 2);
    give(a);
    give(b);
    assert_int_equal(pool_states(pool), 2);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void *take_with_few_retries(void *n)
{
    (void)n;
    struct script_error error = {0, NULL};
    struct script *s = try_take(0, &config, &error);
    if (s != NULL)
        give(s);
    state_error_clear(&error);
    return NULL;
}

static void test_a_failing_load_wakes_those_who_wait_for_its_slot(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 1000000;
    atomic_store(&files[0].unloadable, THREADS / 2);
    pthread_t threads[THREADS];
    start(threads, THREADS, take_with_few_retries);
    finish(threads, THREADS);
    assert_int_equal(atomic_load(&files[0].most_live), 1);
    assert_int_equal(pool_states(pool), 1);
}

/* -- Changes -- */

static void test_a_stale_idle_state_is_not_served(void **unused)
{
    (void)unused;
    struct script *a = take(0), *b = take(0);
    give(a);
    give(b);
    edit(0);
    struct script *s = take(0);
    assert_int_equal(s->code->version, atomic_load(&files[0].version));
    assert_int_equal(atomic_load(&files[0].closed), 2);
    assert_int_equal(atomic_load(&files[0].compiled), 2);
    give(s);
}

static void test_a_stale_busy_state_goes_at_check_in(void **unused)
{
    (void)unused;
    struct script *s = take(0);
    edit(0);
    pool_sweep(pool);
    assert_int_equal(pool_states(pool), 1);
    give(s);
    assert_int_equal(pool_states(pool), 0);
}

static void test_the_sweep_closes_stale_idle_states_at_once(void **unused)
{
    (void)unused;
    struct script *s[3];
    for (int i = 0; i < 100; i++)
        ask(i);
    for (int i = 0; i < 3; i++)
        s[i] = take(1);
    for (int i = 0; i < 3; i++)
        give(s[i]);
    edit(0);
    pool_sweep(pool);
    assert_int_equal(atomic_load(&files[0].live), 0);
    assert_int_equal(pool_states(pool), 101);
    assert_int_equal(atomic_load(&codes), 99);
    for (int i = 2; i >= 0; i--)
        assert_ptr_equal(take(1), s[i]);
    for (int i = 0; i < 3; i++)
        give(s[i]);
}

static void test_the_sweep_forgets_errors_of_changed_files(void **unused)
{
    (void)unused;
    atomic_store(&files[0].broken, true);
    assert_int_equal(failing_status(0), 500);
    assert_int_equal(atomic_load(&codes), 1);
    edit(0);
    pool_sweep(pool);
    assert_int_equal(atomic_load(&codes), 0);
}

static void test_a_state_checked_in_during_a_sweep_is_found_by_the_next(void **unused)
{
    (void)unused;
    struct script *s = take(0);
    edit(1);
    pool_sweep(pool);
    /* As if it had been found current before the change, and pushed after the sweep. */
    give(s);
    atomic_fetch_add(&files[0].version, 1);
    pool_sweep(pool);
    assert_int_equal(pool_states(pool), 0);
}

static void test_another_configuration_means_other_states(void **unused)
{
    (void)unused;
    ask(0);
    struct config other = config;
    published = &other;
    atomic_fetch_add(&generation, 1);
    struct script_error error = {0, NULL};
    struct script *s = try_take(0, &other, &error);
    assert_int_equal(atomic_load(&files[0].created), 2);
    assert_int_equal(atomic_load(&files[0].compiled), 2);
    give(s);
    pool_sweep(pool);
    assert_int_equal(pool_states(pool), 1);
    published = &config;
    atomic_fetch_add(&generation, 1);
    pool_sweep(pool);
    assert_int_equal(pool_states(pool), 0);
    assert_int_equal(atomic_load(&codes), 0);
}

/* -- Looking in -- */

static void add_up(const char *path, int states, void *sums)
{
    require(!pool_is_locked_here());
    require(states > 0);
    ((int *)sums)[atoi(path + strlen("/srv/www/"))] += states;
}

static void test_visit_sees_every_script_once(void **unused)
{
    (void)unused;
    static int sums[200];
    memset(sums, 0, sizeof sums);
    for (int i = 0; i < 150; i++)
        ask(i);
    struct script *a = take(3), *b = take(3);
    atomic_store(&files[150].broken, true);
    assert_int_equal(failing_status(150), 500);
    pool_visit(pool, add_up, sums);
    for (int i = 0; i < 200; i++)
        assert_int_equal(sums[i], i == 3 ? 2 : i < 150);
    give(a);
    give(b);
}

static void test_thousands_of_scripts_are_all_found_again(void **unused)
{
    (void)unused;
    config.lua_total_states = FILES;
    for (int i = 0; i < 10000; i++) {
        ask(i);
        ask(i / 2);
    }
    for (int i = 0; i < 10000; i++)
        assert_int_equal(atomic_load(&files[i].created), 1);
    assert_int_equal(pool_states(pool), 10000);
}

/* -- Many threads -- */

enum { SCRIPTS = 50 };
static atomic_bool hammering;
static int rounds;

static void *hammer(void *n)
{
    unsigned random = (unsigned)(intptr_t)n * 2654435761u + 1;
    for (int i = 0; i < rounds; i++) {
        random = random * 1103515245u + 12345;
        int file = (int)((random >> 16) % SCRIPTS);
        struct script_error error = {0, NULL};
        struct script *s = try_take(file, &config, &error);
        if (s != NULL) {
            require(atomic_exchange(&s->busy, false));
            pool_checkin(pool, s, random % 64 != 0);
        }
        require(s != NULL || file % 10 == 9);
        state_error_clear(&error);
        if (random % 128 == 0)
            edit(file);
    }
    return NULL;
}

static void *sweep(void *unused)
{
    (void)unused;
    static int sums[SCRIPTS];
    while (atomic_load(&hammering)) {
        pool_sweep(pool);
        pool_visit(pool, add_up, sums);
        breathe();
    }
    return NULL;
}

/* Files 9 and 19 are broken, 29 and 39 missing, 49 fails at every load. */
static void hammer_with(int max, int total, int retries, int n)
{
    pthread_t threads[THREADS], sweeper;
    config.lua_states = 2;
    config.lua_max_states = max;
    config.lua_total_states = total;
    config.lua_max_search_retries = retries;
    rounds = n;
    for (int i = 0; i < 2; i++) {
        atomic_store(&files[9 + 10 * i].broken, true);
        atomic_store(&files[29 + 10 * i].missing, true);
    }
    atomic_store(&files[49].unloadable, -1);
    atomic_store(&hammering, true);
    start(&sweeper, 1, sweep);
    start(threads, THREADS, hammer);
    finish(threads, THREADS);
    atomic_store(&hammering, false);
    finish(&sweeper, 1);
    require(pool_states(pool) == (size_t)atomic_load(&live));
    require(atomic_load(&live) <= total);
    for (int i = 0; i < SCRIPTS; i++)
        require(atomic_load(&files[i].live) <= max);
}

/* A state that is being closed has no slot any more; here each thread closes its own. */
enum { CLOSING = THREADS + 1 };

static void test_limits_hold_at_every_moment_without_extra_states(void **unused)
{
    (void)unused;
    hammer_with(2, 3, 1000000, 50);
    assert_in_range(atomic_load(&most_live), 1, 3 + CLOSING);
    for (int i = 0; i < SCRIPTS; i++)
        assert_in_range(atomic_load(&files[i].most_live), 0, 2 + CLOSING);
}

static void test_roomy_limits_hold_under_load(void **unused)
{
    (void)unused;
    hammer_with(6, 40, 1000000, 2000);
    assert_in_range(atomic_load(&most_live), 1, 40 + CLOSING);
    for (int i = 0; i < SCRIPTS; i++)
        assert_in_range(atomic_load(&files[i].most_live), 0, 6 + CLOSING);
}

static void test_a_pool_of_one_serves_sixteen_threads(void **unused)
{
    (void)unused;
    hammer_with(1, 1, 0, 2000);
    assert_in_range(atomic_load(&most_live), 1, 1 + THREADS + CLOSING);
}

static void test_one_script_and_one_state_for_all(void **unused)
{
    (void)unused;
    config.lua_max_states = 1;
    config.lua_max_search_retries = 1000000;
    pthread_t threads[THREADS];
    for (int round = 0; round < 20; round++) {
        start(threads, THREADS, take_and_give);
        edit(0);
        pool_sweep(pool);
        finish(threads, THREADS);
    }
    assert_in_range(atomic_load(&files[0].most_live), 1, 1 + CLOSING);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_idle_states_are_taken_newest_first),
        TEST(test_first_load_makes_lua_states),
        TEST(test_first_load_keeps_to_the_limits),
        TEST(test_ids_are_the_smallest_free),
        TEST(test_scripts_of_two_roots_are_two_scripts),
        TEST(test_a_state_that_is_not_reusable_is_closed),
        TEST(test_lua_max_requests_renews),
        TEST(test_lua_max_errors_renews),
        TEST(test_busy_clones_wait_then_an_extra_state),
        TEST(test_no_retries_mean_no_wait),
        TEST(test_a_waiter_gets_what_comes_back),
        TEST(test_a_full_pool_of_busy_states_gives_an_extra_one),
        TEST(test_a_full_pool_evicts_the_oldest_idle_state),
        TEST(test_a_popular_script_survives_a_crawl),
        TEST(test_ten_requests_are_enough_to_survive_it),
        TEST(test_a_popular_script_survives_a_crawl_that_asks_thrice),
        TEST(test_yesterdays_favourite_goes_at_last),
        TEST(test_new_favourites_displace_old_ones),
        TEST(test_a_crowd_compiles_once),
        TEST(test_a_crowd_at_a_broken_script_compiles_once),
        TEST(test_a_crowd_at_a_missing_file_shares_the_answer),
        TEST(test_compile_errors_are_remembered),
        TEST(test_a_broken_script_evicts_nobody),
        TEST(test_missing_files_are_not_remembered),
        TEST(test_what_is_remembered_is_bounded),
        TEST(test_states_that_fail_to_load_leave_no_trace),
        TEST(test_a_failing_load_wakes_those_who_wait_for_its_slot),
        TEST(test_a_stale_idle_state_is_not_served),
        TEST(test_a_stale_busy_state_goes_at_check_in),
        TEST(test_the_sweep_closes_stale_idle_states_at_once),
        TEST(test_the_sweep_forgets_errors_of_changed_files),
        TEST(test_a_state_checked_in_during_a_sweep_is_found_by_the_next),
        TEST(test_another_configuration_means_other_states),
        TEST(test_visit_sees_every_script_once),
        TEST(test_thousands_of_scripts_are_all_found_again),
        TEST(test_limits_hold_at_every_moment_without_extra_states),
        TEST(test_roomy_limits_hold_under_load),
        TEST(test_a_pool_of_one_serves_sixteen_threads),
        TEST(test_one_script_and_one_state_for_all),
    };
    alarm(300); /* a deadlock ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
