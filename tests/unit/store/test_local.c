/* Sessions in this process: sweeping, bounds, many of them, and no memory for more. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "store/local.h"
#include "tests/unit/session_fixture.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif

#ifdef SANITIZED
#define PAUSE_MAX 20000000 /* nanoseconds */
#else
#define PAUSE_MAX 1000000
#endif

/* -- Sweeping -- */

/* Of 40,000 sessions half are expired: no one sweep looks at all, but some 32 do. */
static void expiry_is_spread_over_sweeps(void **state)
{
    (void)state;
    enum { HALF = 20000 };
    config.session_max_count = 2 * HALF;
    for (int i = 0; i < HALF; i++)
        start();
    pass(HOUR / 2);
    for (int i = 0; i < HALF; i++)
        start();
    pass(HOUR / 2);
    size_t before = store_count(store);
    assert_int_equal(before, 2 * HALF);
    store_tick(store, &config);
    size_t after = store_count(store);
    assert_in_range(before - after, 1, 2 * HALF / 32 + 16 * 64);
    for (int i = 0; i < 200; i++)
        store_tick(store, &config);
    assert_int_equal(store_count(store), HALF);
}

/* Sweeps until `count` sessions were looked at, wherever they lie: one sweep looks at 16
 * of a shard and more. */
static void tick_past(int count)
{
    for (int i = 0; i <= count / 16; i++)
        store_tick(store, &config);
}

/* Kept in use, so that only SessionMaxAge ends them, and they are the newest in their
 * list. */
static void a_sweep_finds_what_is_too_old_as_well(void **state)
{
    (void)state;
    struct one all[100];
    config.session_time = 0;
    for (int i = 0; i < 100; i++)
        all[i] = start();
    pass(24 * HOUR - 1);
    for (int i = 0; i < 50; i++)
        assert_true(alive(&all[i]));
    tick_past(100);
    assert_int_equal(store_count(store), 100);
    pass(1);
    tick_past(100);
    assert_int_equal(store_count(store), 0);
}

/* -- Bounds -- */

static void the_longest_idle_session_makes_room(void **state)
{
    (void)state;
    enum { COUNT = 200 };
    static struct one all[COUNT], more[COUNT];
    config.session_max_count = COUNT;
    for (int i = 0; i < COUNT; i++) {
        all[i] = start();
        pass(1);
    }
    for (int i = 0; i < COUNT; i += 2) { /* now the odd ones are idle longer */
        assert_true(alive(&all[i]));
        pass(1);
    }
    for (int i = 0; i < COUNT / 2; i++) {
        more[i] = start();
        pass(1);
        assert_int_equal(store_count(store), COUNT);
        assert_false(alive(&all[2 * i + 1]));
    }
    for (int i = 0; i < COUNT; i += 2)
        assert_true(alive(&all[i]));
    for (int i = 0; i < COUNT / 2; i++)
        assert_true(alive(&more[i]));
    assert_int_equal(store_evictions(store), COUNT / 2);
}

static void one_session_is_room_for_one(void **state)
{
    (void)state;
    config.session_max_count = 1;
    struct one first = start(), second = start();
    assert_false(alive(&first));
    assert_true(alive(&second));
}

static void a_smaller_bound_is_kept_by_sweeps(void **state)
{
    (void)state;
    struct one last;
    for (int i = 0; i < 1000; i++) {
        last = start();
        pass(1);
    }
    config.session_max_count = 10;
    for (int i = 0; i < 4; i++)
        store_tick(store, &config);
    assert_int_equal(store_count(store), 10);
    assert_true(alive(&last));
}

static void a_value_over_the_size_is_refused_and_logged(void **state)
{
    (void)state;
    struct one s = start();
    char *large = malloc(65536);
    assert_non_null(large);
    memset(large, 'x', 65535);
    large[65535] = '\0';
    assert_true(set(&s, "r", "k", "v"));
    assert_false(set(&s, "r", "k", large));
    assert_int_equal(logged("SessionMaxSize (65536 bytes)"), 1);
    assert_string_equal(get(&s, "r", "k"), "v");
    assert_false(set(&s, "*", "k", large));
    config.session_max_size = 0;
    assert_true(set(&s, "r", "k", large));
    assert_string_equal(get(&s, "r", "k"), large);
    free(large);
}

/* -- Many -- */

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* LUAFCGID2_SLOWDOWN says how many times slower all is, under valgrind. */
static int64_t pause_max(void)
{
    const char *slowdown = getenv("LUAFCGID2_SLOWDOWN");
    return PAUSE_MAX * (slowdown == NULL ? 1 : atoi(slowdown));
}

/* 100,000 sessions are made and used; no call may cost more than 1 ms. What else the
 * machine does hits another call in each run, what the store does the same one: so of
 * each call the shortest of three runs counts. */
static void no_call_is_slow_with_a_hundred_thousand_sessions(void **state)
{
    (void)state;
    enum { COUNT = 100000, RUNS = 3 };
    static struct one all[COUNT];
    static int64_t took[2 * COUNT];
    config.session_max_count = COUNT;
    for (int run = 0; run < RUNS; run++) {
        store_destroy(store);
        assert_non_null(store = store_create(&config));
        for (int i = 0; i < 2 * COUNT; i++) {
            int64_t begun = cpu_ns();
            if (i < COUNT)
                all[i] = start();
            else
                assert_true(set(&all[i - COUNT], "realm", "name", "value"));
            int64_t ns = cpu_ns() - begun;
            took[i] = run == 0 || ns < took[i] ? ns : took[i];
        }
        assert_int_equal(store_count(store), COUNT);
    }
    for (int i = 0; i < 2 * COUNT; i++)
        assert_true(took[i] < pause_max());
    pass(HOUR);
    for (int i = 0; i < 200; i++)
        store_tick(store, &config);
    assert_int_equal(store_count(store), 0);
}

/* -- Without memory: the linker sends the program's calls here, see the Makefile -- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static int allocations_left = -1; /* until one fails; -1: none does */

static bool fails(void)
{
    if (allocations_left != 0) {
        allocations_left -= allocations_left > 0;
        return false;
    }
    errno = ENOMEM;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    return fails() ? NULL : __real_realloc(memory, size);
}

/* Tries with ever more memory, until it suffices; how often that was not so. */
#define UNTIL_IT_WORKS(failures, ...)                                                    \
    for (failures = 0;; failures++) {                                                    \
        allocations_left = failures;                                                     \
        bool worked = (__VA_ARGS__);                                                     \
        allocations_left = -1;                                                           \
        if (worked)                                                                      \
            break;                                                                       \
        assert_true(failures < 20);                                                      \
    }

static void without_memory_nothing_half_done_remains(void **state)
{
    (void)state;
    int failures;
    struct one s;
    UNTIL_IT_WORKS(failures, session_create(store, &config, &client, s.key, &s.id));
    assert_int_equal(failures, 1);
    assert_int_equal(store_count(store), 1);
    for (int i = 0; i < 9; i++) {
        char realm[12];
        snprintf(realm, sizeof realm, "%d", i);
        UNTIL_IT_WORKS(failures,
                       set(&s, realm, "k", "v") ||
                           (session_has_realm(store, &s.id, b(realm)) && false));
        assert_true(failures >= 3);
    }
    for (int i = 0; i < 9; i++) {
        char name[12];
        snprintf(name, sizeof name, "%d", i);
        UNTIL_IT_WORKS(failures,
                       set(&s, "*", name, "v") || (get(&s, "*", name) != NULL && false));
        assert_true(failures >= 1);
    }
    struct buffer value = {0};
    UNTIL_IT_WORKS(failures, session_get(store, &s.id, b("8"), b("8"), &value));
    assert_int_equal(failures, 1);
    buffer_free(&value);
    allocations_left = 0;
    bool cleared = session_clear(store, &s.id, b("4")) &&
                   session_regenerate(store, &config, &s.id, s.key, NULL) &&
                   session_clear(store, &s.id, b("*")) && session_delete(store, &s.id);
    allocations_left = -1;
    assert_true(cleared);
    assert_true(logged("out of memory") > 0);
}

/* A table that cannot grow serves all the same. */
static void without_memory_for_a_larger_table_sessions_are_found(void **state)
{
    (void)state;
    static struct one all[2000];
    for (int i = 0; i < 2000; i++) {
        allocations_left = 1; /* for the session itself */
        bool ok = session_create(store, &config, &client, all[i].key, &all[i].id);
        allocations_left = -1;
        assert_true(ok);
    }
    for (int i = 0; i < 2000; i++)
        assert_true(alive(&all[i]));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(expiry_is_spread_over_sweeps),
        TEST(a_sweep_finds_what_is_too_old_as_well),
        TEST(the_longest_idle_session_makes_room),
        TEST(one_session_is_room_for_one),
        TEST(a_smaller_bound_is_kept_by_sweeps),
        TEST(a_value_over_the_size_is_refused_and_logged),
        TEST(no_call_is_slow_with_a_hundred_thousand_sessions),
        TEST(without_memory_nothing_half_done_remains),
        TEST(without_memory_for_a_larger_table_sessions_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
