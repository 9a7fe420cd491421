/* Statuses and their reason phrases. */
#include "http/status.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_status_has_the_phrase_of_the_list(void **state)
{
    (void)state;
    assert_string_equal(status_reason(100), "Continue");
    assert_string_equal(status_reason(200), "OK");
    assert_string_equal(status_reason(404), "Not Found");
    assert_string_equal(status_reason(413), "Content Too Large");
    assert_string_equal(status_reason(422), "Unprocessable Content");
    assert_string_equal(status_reason(511), "Network Authentication Required");
}

/* 306 and 418 are reserved in the list, without a phrase. */
static void any_other_number_has_none(void **state)
{
    (void)state;
    static const int numbers[] = {0, -1, -200, 99, 299, 306, 418, 512, 600, 2000};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_null(status_reason(numbers[i]));
}

struct visits {
    int count, last;
};

static void note_visit(int code, const char *reason, void *arg)
{
    struct visits *v = arg;
    assert_ptr_equal(status_reason(code), reason);
    assert_true(strlen(reason) > 0);
    assert_int_equal(strcspn(reason, "\r\n"), strlen(reason));
    assert_true(code > v->last);
    v->count++;
    v->last = code;
}

static void each_status_that_has_a_phrase_is_visited_once(void **state)
{
    (void)state;
    struct visits v = {0};
    int known = 0;
    for (int code = -1000; code < 10000; code++)
        known += status_reason(code) != NULL;
    status_visit(note_visit, &v);
    assert_int_equal(v.count, known);
    assert_int_equal(v.last, 511);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_status_has_the_phrase_of_the_list),
        cmocka_unit_test(any_other_number_has_none),
        cmocka_unit_test(each_status_that_has_a_phrase_is_visited_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
