/* Hashes, random bytes and comparing, called as scripts call them. */
#include "lua/secret_api.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/page_fixture.h"

static void hashes_are_those_of_the_standards(void **state)
{
    (void)state;
    check("is(lf.hex(lf.sha256('abc')), "
          "'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')"
          "is(lf.hex(lf.sha256(('a'):rep(1000000))), "
          "'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0')"
          "is(lf.hex(lf.sha256('')), "
          "'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')");
}

/* RFC 4231. */
static void hmac_has_keys_of_any_length(void **state)
{
    (void)state;
    check("is(lf.hex(lf.hmac_sha256('Jefe', 'what do ya want for nothing?')), "
          "'5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')"
          "is(lf.hex(lf.hmac_sha256(('\\xaa'):rep(131), "
          "'Test Using Larger Than Block-Size Key - Hash Key First')), "
          "'60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54')"
          "is(lf.hex(lf.hmac_sha256('', '')), "
          "'b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad')");
}

static void random_bytes_have_the_length_asked_for(void **state)
{
    (void)state;
    check("for _, n in ipairs{0, 1, 255, 256, 257, 100000} do is(#lf.random(n), n) end "
          "assert(lf.random(16) ~= lf.random(16)) "
          "local seen = 0 for c in lf.random(20000):gmatch('.') do "
          "seen = seen | 1 << (c:byte() >> 3) end is(seen, 0xffffffff)");
}

static void a_token_fits_into_urls(void **state)
{
    (void)state;
    check("is(#lf.token(), 32) is(#lf.token(1), 2) is(#lf.token(192), 256) "
          "assert(lf.token() ~= lf.token()) "
          "for i = 1, 100 do assert(lf.token(30):find('^[%w_-]+$')) end "
          "is(#lf.unbase64(lf.token()), 24)");
}

static void equal_compares_bytes(void **state)
{
    (void)state;
    check("is(lf.equal('', ''), true) is(lf.equal('abc', 'abc'), true) "
          "is(lf.equal('abc', 'abd'), false) is(lf.equal('abc', 'ab'), false) "
          "is(lf.equal('a\\0b', 'a\\0c'), false) is(lf.equal('1', 1), true) "
          "local s = ('x'):rep(100000) is(lf.equal(s .. 'a', s .. 'a'), true) "
          "is(lf.equal(s .. 'a', s .. 'b'), false) is(lf.equal('y' .. s, 'x' .. s), "
          "false)");
}

static void a_wrong_argument_is_named(void **state)
{
    (void)state;
    assert_page_fails("lf.sha256()", "bad argument #1 to 'sha256'");
    assert_page_fails("lf.hmac_sha256('k')", "bad argument #2 to 'hmac_sha256'");
    assert_page_fails("lf.random(-1)", "0 to 1048576 bytes expected");
    assert_page_fails("lf.random(1048577)", "0 to 1048576 bytes expected");
    assert_page_fails("lf.token(0)", "1 to 192 bytes expected");
    assert_page_fails("lf.token(193)", "1 to 192 bytes expected");
    assert_page_fails("lf.equal('a', nil)", "bad argument #2 to 'equal'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(hashes_are_those_of_the_standards),
        TEST(hmac_has_keys_of_any_length),
        TEST(random_bytes_have_the_length_asked_for),
        TEST(a_token_fits_into_urls),
        TEST(equal_compares_bytes),
        TEST(a_wrong_argument_is_named),
    };
    group_set_up();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
