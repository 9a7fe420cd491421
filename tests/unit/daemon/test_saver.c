/* The thread that writes SessionFile. It is started once and stopped once, so the tests
 * run in their order. */
#include "daemon/saver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/script_fixture.h"

enum { PATIENCE = 30000 /* ms */ };

static char file[96];

static int begin(void **state)
{
    if (set_up(state) != 0)
        return -1;
    snprintf(file, sizeof file, "%s/sessions", directory);
    free(config->session_file);
    config->session_file = strdup(file);
    config_publish(config_ref(config));
    return 0;
}

static int end(void **state)
{
    config_publish(NULL);
    return tear_down(state);
}

static void create_session(void)
{
    char key[SESSION_KEY_MAX + 1];
    struct session_id id;
    static const struct session_client client = {"192.0.2.1", "Browser", "en"};
    assert_true(session_create(sessions, config, &client, key, &id));
}

static void a_late_saver_is_reported_with_its_file(void **state)
{
    (void)state;
    const struct watch_report report = {.role = WATCH_SAVER, .name = "/srv/sessions"};
    saver_report(&report);
    assert_logged("SessionFile /srv/sessions has not been written for 10 s: the disk "
                  "does not answer");
}

static void a_stop_saves_a_last_time(void **state)
{
    (void)state;
    struct stat st;
    assert_true(saver_start(sessions));
    create_session();
    assert_true(saver_stop(PATIENCE));
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    struct session_store *again = store_create(config);
    assert_non_null(again);
    assert_int_equal(store_count(again), 1);
    store_destroy(again);
}

#define IN_TURN(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_TURN(a_stop_saves_a_last_time),
        IN_TURN(a_late_saver_is_reported_with_its_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
