/* The thread that looks for changed files. It is started once and stopped once, so the
 * tests run in their order. */
#include "daemon/sweeper.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/clock.h"
#include "tests/unit/script_fixture.h"

enum { PATIENCE = 30000 /* ms */ };

static struct pool *pool;

static int begin(void **state)
{
    if (set_up(state) != 0)
        return -1;
    config->min_file_info_time = 24 * 3600 * 1000; /* it looks when it is woken */
    config_publish(config_ref(config));
    pool = pool_create();
    return pool == NULL;
}

static int end(void **state)
{
    pool_destroy(pool);
    config_publish(NULL);
    return tear_down(state);
}

static void ask(const char *path)
{
    struct script_error error = {0};
    struct script *s = pool_checkout(pool, path, directory, config, &error);
    if (s == NULL)
        fail_msg("%d: %s", error.status, error.message);
    pool_checkin(pool, s, true);
}

/* The sweeper looks once when it starts, and after that only when it is woken. */
static void a_woken_sweeper_closes_states_of_changed_files(void **state)
{
    (void)state;
    assert_true(sweeper_start(pool, 1));
    const char *path = write_file("script.lua", "function main() end");
    ask(path);
    assert_int_equal(pool_states(pool), 1);
    write_file("script.lua", "function main() return end");
    int64_t deadline = clock_nanoseconds() + INT64_C(1000000) * PATIENCE;
    while (pool_states(pool) > 0) {
        sweeper_wake();
        assert_true(clock_nanoseconds() < deadline);
        poll(NULL, 0, 1);
    }
    assert_true(sweeper_stop(PATIENCE));
}

static void a_file_system_that_does_not_answer_is_named(void **state)
{
    (void)state;
    const struct watch_report report = {.role = WATCH_SWEEPER, .name = "/net/a.lua"};
    sweeper_replace(&report);
    assert_logged("looking at /net/a.lua has taken 2 s: its file system does not answer; "
                  "changes of other files are still seen");
    sweeper_replace(&report);
    assert_logged("as others do not, no change is seen any more");
    sweeper_mend();
    assert_true(sweeper_stop(PATIENCE));
}

#define IN_TURN(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TURN(a_woken_sweeper_closes_states_of_changed_files),
        IN_TURN(a_file_system_that_does_not_answer_is_named),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
