/* The ids of a script's states. */
#include "tests/unit/pool_fixture.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ids_are_the_smallest_free),
    };
    return run_pool(tests);
}
