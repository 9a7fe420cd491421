/* Durations: those of more than a second are counted, and the last one tells. */
#include "daemon/duration.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void expect(struct duration *d, unsigned times, unsigned last, bool is_long)
{
    assert_int_equal(atomic_load(&d->times), times);
    assert_int_equal(atomic_load(&d->last), last);
    assert_int_equal(atomic_load(&d->is_long), is_long);
}

static void only_long_ones_count(void **state)
{
    (void)state;
    struct duration d = {0};
    duration_note(&d, 0);
    duration_note(&d, DURATION_LONG);
    expect(&d, 0, 0, false);
    duration_note(&d, DURATION_LONG + 1);
    expect(&d, 1, DURATION_LONG + 1, true);
    duration_note(&d, 5 * DURATION_LONG);
    expect(&d, 2, 5 * DURATION_LONG, true);
    duration_note(&d, 3);
    expect(&d, 2, 5 * DURATION_LONG, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_long_ones_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
