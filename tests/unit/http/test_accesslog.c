/* Formats of an access log: what is no directive. The lines of formats that are right:
 * test_accessline. */
#include "http/accesslog.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void a_wrong_directive_is_named(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"%h %Z x", "%Z is no directive"},
        {"%{Referer}", "%{Referer} is no directive"},
        {"%{a b", "%{a b is no directive"},
        {"100%", "% is no directive"},
        {"%{min}T", "%{min}T is no directive"},
        {"%i", "%i is no directive"},
        {"%{}e", "%{}e is no directive"},
        {"%{x}h", "%{x}h is no directive"},
        {"%>", "%> is no directive"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char wrong[128] = "";
        assert_null(accesslog_compile(cases[i][0], wrong, sizeof wrong));
        assert_string_equal(wrong, cases[i][1]);
    }
}

static void a_parameter_has_one_number_wherever_it_stands(void **state)
{
    (void)state;
    char wrong[128];
    struct accesslog *f = accesslog_compile(
        "%h %{X-One}i %{Referer}i %v %{X-One}i %{User-Agent}i%a", wrong, sizeof wrong);
    assert_non_null(f);
    const struct accesslog_item *item = f->items;
    assert_int_equal(item[0].name.number, ACCESSLOG_CLIENT);
    assert_int_equal(item[1].name.number, ACCESSLOG_OTHERS);
    assert_int_equal(item[2].name.number, ACCESSLOG_REFERER);
    assert_int_equal(item[3].name.number, ACCESSLOG_OTHERS + 1);
    assert_int_equal(item[4].name.number, ACCESSLOG_OTHERS);
    assert_string_equal(item[4].name.text, "HTTP_X_ONE");
    assert_int_equal(item[5].name.number, ACCESSLOG_AGENT);
    assert_int_equal(item[6].name.number, ACCESSLOG_CLIENT);
    assert_int_equal(item[7].code, ACCESSLOG_END);
    accesslog_free(f);
    accesslog_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wrong_directive_is_named),
        cmocka_unit_test(a_parameter_has_one_number_wherever_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
