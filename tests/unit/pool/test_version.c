/* Compiling once. */
#include "pool/version.h"

#include "tests/unit/pool_fixture.h"

static void *fail_once(void *n)
{
    arrive((int)(intptr_t)n);
    int status = failing_status(0);
    require(status == (atomic_load(&files[0].missing) ? 404 : 500));
    return NULL;
}

static void a_crowd_compiles_once(void **unused)
{
    (void)unused;
    config.lua_max_search_retries = 1000000;
    crowd(take_and_give);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
    assert_in_range(atomic_load(&files[0].created), 1, 6);
    assert_int_equal(atomic_load(&files[0].closed), 0);
}

static void a_crowd_at_a_broken_script_compiles_once(void **unused)
{
    (void)unused;
    atomic_store(&files[0].broken, true);
    crowd(fail_once);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void a_crowd_at_a_missing_file_shares_the_answer(void **unused)
{
    (void)unused;
    atomic_store(&files[0].missing, true);
    crowd(fail_once);
    assert_int_equal(atomic_load(&files[0].compiled), 1);
}

static void compile_errors_are_remembered(void **unused)
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

static void missing_files_are_not_remembered(void **unused)
{
    (void)unused;
    atomic_store(&files[0].missing, true);
    assert_int_equal(failing_status(0), 404);
    assert_int_equal(failing_status(0), 404);
    assert_int_equal(atomic_load(&files[0].compiled), 2);
    atomic_store(&files[0].missing, false);
    ask(0);
}

static void another_configuration_means_other_states(void **unused)
{
    (void)unused;
    ask(0);
    struct config other = config;
    published = &other;
    atomic_fetch_add(&generation, 1);
    struct script_error error = {0};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_crowd_compiles_once),
        TEST(a_crowd_at_a_broken_script_compiles_once),
        TEST(a_crowd_at_a_missing_file_shares_the_answer),
        TEST(compile_errors_are_remembered),
        TEST(missing_files_are_not_remembered),
        TEST(another_configuration_means_other_states),
    };
    return run_pool(tests);
}
