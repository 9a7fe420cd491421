/* The cookie of a session: what it says, how long it lives, when it is sent again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/session_fixture.h"

static void expect_cookie_for(int64_t life, bool https, const char *key,
                              const char *expected)
{
    struct buffer out = {0};
    assert_true(session_print_cookie(&config, https, key, life, &out));
    assert_true(buffer_append(&out, "", 1));
    assert_string_equal(out.data, expected);
    buffer_free(&out);
}

static void expect_cookie(bool https, const char *key, const char *expected)
{
    expect_cookie_for(0, https, key, expected);
}

static void a_cookie_may_outlive_the_browsers_window(void **state)
{
    (void)state;
    expect_cookie_for(HOUR, false, "KEY",
                      "XLuaSession=KEY; Path=/; Max-Age=3600; HttpOnly; SameSite=Lax");
    expect_cookie_for(1, false, "KEY",
                      "XLuaSession=KEY; Path=/; Max-Age=1; HttpOnly; SameSite=Lax");
    expect_cookie_for(HOUR, false, NULL,
                      "XLuaSession=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
}

static void a_cookie_lives_as_long_as_its_session(void **state)
{
    (void)state;
    assert_int_equal(session_cookie_life(&config, 0), 0);
    config.session_cookie_persistent = true;
    assert_int_equal(session_cookie_life(&config, 0), HOUR);
    assert_int_equal(session_cookie_life(&config, 23 * HOUR), HOUR);
    assert_int_equal(session_cookie_life(&config, 23 * HOUR + HOUR / 2), HOUR / 2);
    assert_int_equal(session_cookie_life(&config, 24 * HOUR - 1), 1000);
    config.session_time = 0;
    assert_int_equal(session_cookie_life(&config, HOUR), 23 * HOUR);
    config.session_max_age = 0;
    assert_int_equal(session_cookie_life(&config, HOUR), 400 * 24 * HOUR);
    config.session_time = 500 * 24 * HOUR;
    assert_int_equal(session_cookie_life(&config, HOUR), 400 * 24 * HOUR);
}

/* The life of a cookie that a request gets. */
static int64_t renewal(const char *key)
{
    struct session_id id;
    int64_t renew = -1;
    assert_true(session_find(store, &config, key, &client, &id, &renew));
    return renew;
}

static void a_cookie_in_use_is_renewed_once_a_minute(void **state)
{
    (void)state;
    struct session_id id;
    char key[SESSION_KEY_MAX + 1];
    config.session_cookie_persistent = true;
    assert_true(session_create(store, &config, &client, key, &id));
    pass(59999);
    assert_int_equal(renewal(key), 0);
    pass(1);
    assert_int_equal(renewal(key), HOUR);
    assert_int_equal(renewal(key), 0);
    pass(60000);
    /* A look at it when it is too late for a cookie leaves it due. */
    assert_true(session_find(store, &config, key, &client, &id, NULL));
    assert_int_equal(renewal(key), HOUR);
    pass(60000);
    assert_true(session_regenerate(store, &config, &id, key, NULL));
    assert_int_equal(renewal(key), 0);
    for (int i = 0; i < 22; i++) {
        pass(HOUR - 1);
        assert_int_equal(renewal(key), HOUR);
    }
    pass(HOUR - 1);
    assert_in_range(renewal(key), HOUR / 2, HOUR - 1); /* the rest of SessionMaxAge */
}

static void a_cookie_with_a_short_life_is_renewed_in_time(void **state)
{
    (void)state;
    struct session_id id;
    char key[SESSION_KEY_MAX + 1];
    config.session_cookie_persistent = true;
    config.session_time = 16000;
    assert_true(session_create(store, &config, &client, key, &id));
    pass(999);
    assert_int_equal(renewal(key), 0);
    pass(1);
    assert_int_equal(renewal(key), 16000);
    config.session_cookie_persistent = false;
    pass(1000);
    assert_int_equal(renewal(key), 0);
}

static void the_cookie_says_what_the_configuration_does(void **state)
{
    (void)state;
    expect_cookie(false, "KEY", "XLuaSession=KEY; Path=/; HttpOnly; SameSite=Lax");
    expect_cookie(true, "KEY", "XLuaSession=KEY; Path=/; HttpOnly; Secure; SameSite=Lax");
    expect_cookie(false, NULL, "XLuaSession=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax");
    config.session_cookie_secure = CONFIG_SECURE_YES;
    config.session_cookie_same_site = CONFIG_SAME_SITE_STRICT;
    expect_cookie(false, "KEY",
                  "XLuaSession=KEY; Path=/; HttpOnly; Secure; SameSite=Strict");
    config.session_cookie_secure = CONFIG_SECURE_NO;
    config.session_cookie_http_only = false;
    config.session_cookie_domain = "example.org";
    expect_cookie(true, "KEY",
                  "XLuaSession=KEY; Path=/; Domain=example.org; SameSite=Strict");
    config.session_cookie_same_site = CONFIG_SAME_SITE_NONE;
    config.session_name = "__Host-s";
    config.session_cookie_domain = "";
    config.session_cookie_secure = CONFIG_SECURE_YES;
    expect_cookie(true, "KEY", "__Host-s=KEY; Path=/; Secure; SameSite=None");
    expect_cookie(true, NULL, "__Host-s=; Path=/; Max-Age=0; Secure; SameSite=None");
}

static void same_site_none_stands_beside_secure_only(void **state)
{
    (void)state;
    config.session_cookie_same_site = CONFIG_SAME_SITE_NONE;
    expect_cookie(true, "K", "XLuaSession=K; Path=/; HttpOnly; Secure; SameSite=None");
    expect_cookie(false, "K", "XLuaSession=K; Path=/; HttpOnly; SameSite=Lax");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_cookie_may_outlive_the_browsers_window),
        TEST(a_cookie_lives_as_long_as_its_session),
        TEST(a_cookie_in_use_is_renewed_once_a_minute),
        TEST(a_cookie_with_a_short_life_is_renewed_in_time),
        TEST(the_cookie_says_what_the_configuration_does),
        TEST(same_site_none_stands_beside_secure_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
