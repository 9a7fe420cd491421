/* Conditional and range requests. */
#include "http/condition.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define NOW 1764000000
#define OLD "Sun, 06 Nov 1994 08:49:37 GMT" /* 784111777 */

static const struct condition_target target = {"\"abc\"", 784111777, 1000};
static int64_t first, length;

static int checked(struct condition c)
{
    return condition_check(&c, &target, NOW, &first, &length);
}

static void without_conditions_all_is_sent(void **state)
{
    (void)state;
    assert_int_equal(checked((struct condition){0}), 200);
    assert_int_equal(first, 0);
    assert_int_equal(length, 1000);
}

static void an_entity_tag_that_the_client_has_gives_304(void **state)
{
    (void)state;
    static const char *const having[] = {
        "\"abc\"", "W/\"abc\"", "*", " * ", "\"x\", \"abc\"", "\"a,b\" ,\t\"abc\" "};
    for (size_t i = 0; i < sizeof having / sizeof *having; i++)
        if (checked((struct condition){.if_none_match = having[i]}) != 304)
            fail_msg("%s", having[i]);
    static const char *const others[] = {"",          "\"abcd\"", "abc",
                                         "\"ab",      "\"x\"*",   "*, x",
                                         "\"\"abc\"", "W/",       "\"x,\"abc\"y\""};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (checked((struct condition){.if_none_match = others[i]}) != 200)
            fail_msg("%s", others[i]);
}

static void a_date_counts_without_entity_tags_only(void **state)
{
    (void)state;
    assert_int_equal(checked((struct condition){.if_modified_since = OLD}), 304);
    assert_int_equal(
        checked((struct condition){.if_modified_since = "Sun, 06 Nov 1994 08:49:36 GMT"}),
        200);
    assert_int_equal(checked((struct condition){.if_modified_since = "soon"}), 200);
    assert_int_equal(
        checked((struct condition){.if_modified_since = OLD, .if_none_match = "\"x\""}),
        200);
}

static void a_precondition_that_fails_gives_412(void **state)
{
    (void)state;
    assert_int_equal(checked((struct condition){.if_match = "\"x\""}), 412);
    assert_int_equal(checked((struct condition){.if_match = "W/\"abc\""}), 412);
    assert_int_equal(checked((struct condition){.if_match = "\"abc\""}), 200);
    assert_int_equal(checked((struct condition){.if_match = "*"}), 200);
    assert_int_equal(checked((struct condition){.if_unmodified_since =
                                                    "Sun, 06 Nov 1994 08:49:36 GMT"}),
                     412);
    assert_int_equal(checked((struct condition){.if_unmodified_since = OLD}), 200);
    assert_int_equal(
        checked((struct condition){.if_match = "\"x\"", .if_none_match = "\"abc\""}),
        412);
}

static void assert_range(const char *range, int status, int64_t from, int64_t bytes)
{
    int got = checked((struct condition){.range = range});
    if (got != status || (status != 416 && (first != from || length != bytes)))
        fail_msg("%s gives %d, %d bytes from %d on", range, got, (int)length, (int)first);
}

static void a_range_is_a_part(void **state)
{
    (void)state;
    assert_range("bytes=0-0", 206, 0, 1);
    assert_range("bytes=0-", 206, 0, 1000);
    assert_range("bytes=10-19", 206, 10, 10);
    assert_range("Bytes=990-2000", 206, 990, 10);
    assert_range("bytes=999-", 206, 999, 1);
    assert_range("bytes=-10", 206, 990, 10);
    assert_range("bytes=-5000", 206, 0, 1000);
    assert_range("bytes=5-99999999999999999999999", 206, 5, 995);
}

static void a_range_behind_the_end_gives_416(void **state)
{
    (void)state;
    assert_range("bytes=1000-", 416, 0, 0);
    assert_range("bytes=1000-1001", 416, 0, 0);
    assert_range("bytes=99999999999999999999999-", 416, 0, 0);
    assert_range("bytes=-0", 416, 0, 0);
    int64_t from, bytes;
    struct condition c = {.range = "bytes=0-"};
    struct condition_target empty = {"\"abc\"", 0, 0};
    assert_int_equal(condition_check(&c, &empty, NOW, &from, &bytes), 416);
    c.range = "bytes=-5";
    assert_int_equal(condition_check(&c, &empty, NOW, &from, &bytes), 416);
}

static void a_malformed_range_and_several_are_ignored(void **state)
{
    (void)state;
    static const char *const odd[] = {
        "",          "bytes",      "bytes=",     "bytes=-",
        "bytes=5-4", "bytes=a-b",  "lines=0-1",  "bytes=0-1,5-6",
        "bytes=1",   "bytes=0-1x", "bytes=+1-2", "bytes=0--1"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
        assert_range(odd[i], 200, 0, 1000);
}

static void a_part_is_sent_of_the_same_version_only(void **state)
{
    (void)state;
    static const struct {
        const char *if_range;
        int status;
    } rows[] = {{"\"abc\"", 206}, {"\"x\"", 200}, {"W/\"abc\"", 200},
                {OLD, 206},       {"soon", 200},  {"Sun, 06 Nov 1994 08:49:38 GMT", 200}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(checked((struct condition){.range = "bytes=1-2",
                                                    .if_range = rows[i].if_range}),
                         rows[i].status);
    struct condition c = {.range = "bytes=1-2", .if_range = OLD};
    assert_int_equal(condition_check(&c, &target, target.modified, &first, &length), 200);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_conditions_all_is_sent),
        cmocka_unit_test(an_entity_tag_that_the_client_has_gives_304),
        cmocka_unit_test(a_date_counts_without_entity_tags_only),
        cmocka_unit_test(a_precondition_that_fails_gives_412),
        cmocka_unit_test(a_range_is_a_part),
        cmocka_unit_test(a_range_behind_the_end_gives_416),
        cmocka_unit_test(a_malformed_range_and_several_are_ignored),
        cmocka_unit_test(a_part_is_sent_of_the_same_version_only),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
