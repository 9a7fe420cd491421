/* Passwords, called as scripts call them, without the thread of chores. */
#include "lua/password_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void a_password_fits_its_hash_only(void **state)
{
    (void)state;
    check("local h = lf.password_hash('engine') assert(h:find('^%$')) "
          "is(lf.password_verify('engine', h), true) "
          "is(lf.password_verify('Engine', h), false) "
          "is(lf.password_verify('', h), false) "
          "is(lf.password_verify('Hello world!', "
          "'$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5'), true)");
}

static void without_a_hash_no_password_is_right(void **state)
{
    (void)state;
    check(
        "is(lf.password_verify('x', nil), false) is(lf.password_verify('x', ''), false) "
        "is(lf.password_verify('x', '*'), false) is(lf.password_verify('x', 'x'), false) "
        "local h = '$5$saltstring$5B8vYYiY.CVt1RlTTf8KbXBH3hsxY/GNooZaBBGWEc5' "
        "is(lf.password_verify('Hello world!\\0', h), false) "
        "is(lf.password_verify(('x'):rep(1000), h), false)");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    assert_page_fails("lf.password_hash()", "bad argument #1 to 'password_hash'");
    assert_page_fails("lf.password_hash('a\\0b')", "at most 511 bytes without a NUL");
    assert_page_fails("lf.password_hash(('x'):rep(512))", "at most 511 bytes");
    assert_page_fails("lf.password_verify(nil, 'x')", "bad argument #1 to");
    assert_page_fails("lf.password_verify('x', {})", "bad argument #2 to");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_password_fits_its_hash_only),
        TEST(without_a_hash_no_password_is_right),
        TEST(a_wrong_argument_is_named),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
