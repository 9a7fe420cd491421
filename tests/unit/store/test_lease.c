/* The rules of a lease: who is admitted, when it ends, and when its cookie is due. */
#include "store/lease.h"
#include "store/moment.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

enum { HOUR = 3600000 };

static int64_t now;
static struct config config;
static const struct lease_identity mine = {1, 2, 3};

static int64_t fake_now(void)
{
    return now;
}

static int set_up(void **state)
{
    (void)state;
    now = 1000;
    config = (struct config){.session_time = HOUR,
                             .session_max_age = 3 * HOUR,
                             .session_target_score = 3,
                             .session_ip_score = 3,
                             .session_user_agent_score = 2,
                             .session_language_score = 1};
    moment_set_clocks(fake_now, NULL);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    moment_set_clocks(NULL, NULL);
    return 0;
}

static void a_new_lease_begins_now(void **state)
{
    (void)state;
    struct lease l = lease_begin(&mine);
    assert_int_equal(l.created, 1000);
    assert_int_equal(l.used, 1000);
    assert_int_equal(l.cookie, 1000);
    assert_memory_equal(&l.identity, &mine, sizeof mine);
    assert_false(lease_is_expired(&l, &config, now));
}

static void it_ends_without_use_or_with_age(void **state)
{
    (void)state;
    struct lease l = lease_begin(&mine);
    assert_false(lease_is_expired(&l, &config, 1000 + HOUR - 1));
    assert_true(lease_is_expired(&l, &config, 1000 + HOUR));
    l.used = 1000 + 3 * HOUR - 1;
    assert_false(lease_is_expired(&l, &config, 1000 + 3 * HOUR - 1));
    assert_true(lease_is_expired(&l, &config, 1000 + 3 * HOUR));
    config.session_max_age = 0;
    assert_false(lease_is_expired(&l, &config, 1000 + 3 * HOUR));
    config.session_time = 0;
    assert_false(lease_is_expired(&l, &config, INT64_MAX / 2));
}

static void a_client_is_admitted_by_its_score(void **state)
{
    (void)state;
    static const struct {
        struct lease_identity who;
        enum lease_verdict verdict;
    } rows[] = {
        {{1, 2, 3}, LEASE_GOOD},     {{1, 0, 0}, LEASE_GOOD},
        {{0, 2, 3}, LEASE_GOOD},     {{0, 2, 0}, LEASE_STRANGER},
        {{0, 0, 3}, LEASE_STRANGER}, {{0, 0, 0}, LEASE_STRANGER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct lease l = lease_begin(&mine);
        assert_int_equal(lease_admit(&l, &config, &rows[i].who, now, NULL),
                         rows[i].verdict);
        bool good = rows[i].verdict == LEASE_GOOD;
        assert_memory_equal(&l.identity, good ? &rows[i].who : &mine, sizeof mine);
    }
    struct lease_identity other = {0, 0, 0};
    struct lease l = lease_begin(&mine);
    assert_int_equal(lease_admit(&l, &config, &other, 1000 + HOUR, NULL), LEASE_EXPIRED);
    config.session_target_score = 0;
    assert_int_equal(lease_admit(&l, &config, &other, now, NULL), LEASE_GOOD);
}

static void a_cookie_lives_as_long_as_its_session_may(void **state)
{
    (void)state;
    assert_int_equal(lease_cookie_life(&config, 0), 0);
    config.session_cookie_persistent = true;
    assert_int_equal(lease_cookie_life(&config, 0), HOUR);
    assert_int_equal(lease_cookie_life(&config, 2 * HOUR + 1), HOUR - 1);
    assert_int_equal(lease_cookie_life(&config, 3 * HOUR), 1000);
    config.session_time = config.session_max_age = 0;
    assert_true(lease_cookie_life(&config, 0) == INT64_C(400) * 24 * HOUR);
}

static void a_cookie_is_renewed_when_it_is_a_minute_old(void **state)
{
    (void)state;
    int64_t renew = -1;
    struct lease l = lease_begin(&mine);
    config.session_cookie_persistent = true;
    assert_int_equal(lease_admit(&l, &config, &mine, 1000 + 59999, &renew), LEASE_GOOD);
    assert_int_equal(renew, 0);
    assert_int_equal(lease_admit(&l, &config, &mine, 1000 + 60000, &renew), LEASE_GOOD);
    assert_int_equal(renew, HOUR);
    assert_int_equal(lease_admit(&l, &config, &mine, 1000 + 60001, &renew), LEASE_GOOD);
    assert_int_equal(renew, 0);
    config.session_time = 16000; /* then a sixteenth of its life counts */
    l.used = 1000 + 61000;
    assert_int_equal(lease_admit(&l, &config, &mine, 1000 + 61000, &renew), LEASE_GOOD);
    assert_int_equal(renew, 16000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_lease_begins_now),
        TEST(it_ends_without_use_or_with_age),
        TEST(a_client_is_admitted_by_its_score),
        TEST(a_cookie_lives_as_long_as_its_session_may),
        TEST(a_cookie_is_renewed_when_it_is_a_minute_old),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
