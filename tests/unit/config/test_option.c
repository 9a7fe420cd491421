/* The table of options: that its rows are whole, and that each is found by its name. What
 * they do when a configuration is loaded is tested in test_config. */
#include "config/kind.h"
#include "config/option.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool is_number(const struct option_row *o)
{
    return o->kind == OPTION_INTEGER || o->kind == OPTION_BYTES ||
           o->kind == OPTION_SECONDS;
}

/* Bytes that an option of this kind takes in struct config. */
static size_t room_of(const struct option_row *o)
{
    switch (o->kind) {
    case OPTION_BYTES:
    case OPTION_SECONDS:
        return sizeof(int64_t);
    case OPTION_BOOLEAN:
    case OPTION_HOOK:
        return sizeof(bool);
    case OPTION_TEXT:
    case OPTION_PATH:
    case OPTION_LIST:
    case OPTION_TABLE:
    case OPTION_PAGES:
        return sizeof(char *);
    default:
        return sizeof(int);
    }
}

static void every_row_is_whole(void **state)
{
    (void)state;
    assert_in_range(option_count, 1, OPTIONS_MAX);
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *o = &option_rows[i];
        assert_true(o->name != NULL && o->name[0] != '\0');
        assert_true(o->fallback != NULL && o->fallback[0] != '\0');
        assert_true(o->help != NULL);
        assert_in_range(strlen(o->help), 1, 72);
        assert_true(o->offset + room_of(o) <= sizeof(struct config));
        assert_true(!is_number(o) || o->min <= o->max);
        assert_int_equal(o->kind == OPTION_CHOICE, o->choices != NULL);
        assert_true(o->check == NULL || o->expected != NULL); /* what to say otherwise */
    }
    assert_non_null(option_rows[0].section);
}

/* All the names that a row answers to, those of others included. */
static void no_two_rows_share_a_name_or_a_place(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++) {
        const struct option_row *a = &option_rows[i];
        for (size_t k = 0; k < option_count; k++) {
            const struct option_row *b = &option_rows[k];
            const char *const names[] = {b->older, b->also, b->early};
            for (size_t n = 0; n < 3; n++)
                assert_true(names[n] == NULL || a == b || strcmp(a->name, names[n]) != 0);
            if (a == b)
                continue;
            assert_string_not_equal(a->name, b->name);
            assert_true(a->offset + room_of(a) <= b->offset ||
                        b->offset + room_of(b) <= a->offset);
        }
    }
}

static void options_are_found_by_their_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < option_count; i++)
        assert_ptr_equal(option_named(option_rows[i].name), &option_rows[i]);
    static const char *const none[] = {"", "listen_", "Workerthreads", "NoSuchOption"};
    for (size_t i = 0; i < sizeof none / sizeof *none; i++)
        assert_null(option_named(none[i]));
}

static void what_is_expected_is_said(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"WorkerThreads", "an integer from 1 to 1024"},
        {"Buffering", "true or false"},
        {"DefaultHttpStatus", "200 OK"},
        {"LogLevel", "\"debug\""},
    };
    char text[256];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct option_row *o = option_named(rows[i][0]);
        assert_non_null(o);
        const char *expected = kind_expected(o, text, sizeof text);
        if (strstr(expected, rows[i][1]) == NULL)
            fail_msg("%s: \"%s\" does not say \"%s\"", rows[i][0], expected, rows[i][1]);
    }
    for (size_t i = 0; i < option_count; i++) {
        const char *expected = kind_expected(&option_rows[i], text, sizeof text);
        assert_true(expected != NULL && expected[0] != '\0');
        assert_true(strlen(expected) < sizeof text - 1); /* not cut */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_whole),
        cmocka_unit_test(no_two_rows_share_a_name_or_a_place),
        cmocka_unit_test(options_are_found_by_their_names),
        cmocka_unit_test(what_is_expected_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
