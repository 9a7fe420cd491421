/* Random bytes: all are set, and two runs of them differ. */
#include "base/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void bytes_differ_each_time(void **state)
{
    (void)state;
    unsigned char a[256] = {0}, b[256] = {0};
    assert_true(random_bytes(a, sizeof a));
    assert_true(random_bytes(b, sizeof b));
    assert_memory_not_equal(a, b, sizeof a);
}

/* Each byte is something else than 0 at some time, and what is behind stays. */
static void as_many_bytes_are_set_as_were_asked_for(void **state)
{
    (void)state;
    for (size_t len = 0; len < 40; len++) {
        unsigned char seen[40] = {0}, bytes[40] = {0};
        for (int i = 0; i < 20; i++) {
            assert_true(random_bytes(bytes, len));
            for (size_t at = 0; at < sizeof bytes; at++)
                seen[at] |= bytes[at];
        }
        for (size_t at = 0; at < sizeof seen; at++)
            assert_true(at < len ? seen[at] != 0 : seen[at] == 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_differ_each_time),
        cmocka_unit_test(as_many_bytes_are_set_as_were_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
