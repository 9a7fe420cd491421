/* Hashes of passwords. */
#include "base/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void assert_hash(const char *password, const char *hash)
{
    char made[PASSWORD_HASH_SIZE];
    assert_true(password_is_known(hash, strlen(hash)));
    assert_true(password_hash(password, hash, made));
    assert_string_equal(made, hash);
    assert_true(password_equal(made, hash));
}

static void a_new_hash_is_of_a_known_kind_and_has_its_own_salt(void **state)
{
    (void)state;
    char setting[PASSWORD_HASH_SIZE], other[PASSWORD_HASH_SIZE];
    char hash[PASSWORD_HASH_SIZE], again[PASSWORD_HASH_SIZE];
    assert_true(password_setting(setting));
    assert_true(password_setting(other));
    assert_string_not_equal(setting, other);
    assert_true(password_is_known(setting, strlen(setting)));
    assert_true(password_hash("engine", setting, hash));
    assert_true(password_is_known(hash, strlen(hash)));
    assert_true(password_hash("engine", hash, again));
    assert_string_equal(hash, again);
    assert_true(password_hash("Engine", hash, again));
    assert_false(password_equal(hash, again));
}

/* From the specification of SHA-crypt. */
static void hashes_of_other_programs_are_read(void **state)
{
    (void)state;
    assert_hash("Hello world!",
                "$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5");
    assert_hash("Hello world!",
                "$6$rounds=10000$saltstringsaltst$"
                "OW1/O6BYHV6BcXZu8QVeXbDWra3Oeqh0sbHbbMCVNSnCM/UrjmM0Dp8vOu"
                "ZeHBy/YTBmSK6H9qs/y3RnOaw5v.");
}

static void what_is_unknown_or_costs_too_much_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "x",
        "*",
        "!",
        "$",
        "$9$x",
        "plain text",
        "$6$rounds=2000001$salt$x",
        "$6$rounds=99999999999999999999$salt$x",
        "$6$rounds=$salt$x",
        "$6$rounds=5x$salt$x",
        "$2b$15$abc",
        "$2b$$abc",
        "$2z$10$abc",
        "$y$jE9$salt$x",
        "$y$jFT$salt$x",
        "$y$j9TA$salt$x",
        "$y$j9a$salt$x",
        "$y$j",
        "$y$",
        "$y$k9T$salt$x",
        "$7$CU..../....salt$x",
        "$gy$jFT$salt$x",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (password_is_known(bad[i], strlen(bad[i])))
            fail_msg("\"%s\" is known", bad[i]);
    assert_false(password_is_known("$1$a\0b", 6));
    char long_one[PASSWORD_HASH_SIZE + 1] = "$6$";
    memset(long_one + 3, 'x', sizeof long_one - 4);
    assert_false(password_is_known(long_one, strlen(long_one)));
}

static void usual_costs_are_allowed(void **state)
{
    (void)state;
    static const char *const good[] = {
        "$y$j9T$salt$x", "$y$jD5$salt$x", "$gy$j9T$salt$x",
        "$2b$12$abc",    "$2a$04$abc",    "$6$rounds=2000000$s$x",
        "$6$salt$x",     "$5$salt$x",     "$1$salt$x",
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        if (!password_is_known(good[i], strlen(good[i])))
            fail_msg("\"%s\" is unknown", good[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_hash_is_of_a_known_kind_and_has_its_own_salt),
        cmocka_unit_test(hashes_of_other_programs_are_read),
        cmocka_unit_test(what_is_unknown_or_costs_too_much_is_refused),
        cmocka_unit_test(usual_costs_are_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
