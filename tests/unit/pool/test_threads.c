/* Many threads at one pool: the limits hold at every moment. */
#include "tests/unit/pool_fixture.h"

enum { SCRIPTS = 50 };
static atomic_bool hammering;
static int rounds;

static void *hammer(void *n)
{
    unsigned random = (unsigned)(intptr_t)n * 2654435761u + 1;
    for (int i = 0; i < rounds; i++) {
        random = random * 1103515245u + 12345;
        int file = (int)((random >> 16) % SCRIPTS);
        struct script_error error = {0};
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

static void add_up(const char *path, int states, void *sums)
{
    require(!pool_is_locked_here());
    require(states > 0);
    ((int *)sums)[atoi(path + strlen("/srv/www/"))] += states;
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

/* A state that is being closed has no place any more. Here each thread closes the states
 * that it discards. */
enum { CLOSING = THREADS + 1 };

static void limits_hold_at_every_moment_without_extra_states(void **unused)
{
    (void)unused;
    hammer_with(2, 3, 1000000, 50);
    assert_in_range(atomic_load(&most_live), 1, 3 + CLOSING);
    for (int i = 0; i < SCRIPTS; i++)
        assert_in_range(atomic_load(&files[i].most_live), 0, 2 + CLOSING);
}

static void roomy_limits_hold_under_load(void **unused)
{
    (void)unused;
    hammer_with(6, 40, 1000000, 2000);
    assert_in_range(atomic_load(&most_live), 1, 40 + CLOSING);
    for (int i = 0; i < SCRIPTS; i++)
        assert_in_range(atomic_load(&files[i].most_live), 0, 6 + CLOSING);
}

static void a_pool_of_one_serves_sixteen_threads(void **unused)
{
    (void)unused;
    hammer_with(1, 1, 0, 2000);
    assert_in_range(atomic_load(&most_live), 1, 1 + THREADS + CLOSING);
}

static void one_script_and_one_state_for_all(void **unused)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(limits_hold_at_every_moment_without_extra_states),
        TEST(roomy_limits_hold_under_load),
        TEST(a_pool_of_one_serves_sixteen_threads),
        TEST(one_script_and_one_state_for_all),
    };
    return run_pool(tests);
}
